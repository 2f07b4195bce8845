"""Memory and open files of a long training. STAL_NUM_ITERATIONS says how long: 800, or another multiple of 400."""

import os
from pathlib import Path
from typing import Any

import pytest

from stal.data.scenes import generate
from stal.engine.entry import train
from stal.engine.train_loop import ExactTrainLoop

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")
NUM_ITERATIONS = int(os.environ.get("STAL_NUM_ITERATIONS", "800"))
WARM_UP = 400  # by then files are cached and allocators have what they need
MAX_GROWTH_MB = 24
ALLOWED_FILES = 2  # that may be open for a moment


def memory_mb(process: int | str) -> float:
    """Return what a process holds of the memory, but for what it shares with others."""
    pages = Path(f"/proc/{process}/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
def test_memory_and_open_files_stay_flat(tmp_path, monkeypatch):
    generate(tmp_path / "scenes", 4, splits=("train",), width=96, height=72)
    settings = {
        "data.path": str(tmp_path / "scenes" / "annotations.json"),
        "train_dataloader.batch_size": 1,
        "train_dataloader.num_workers": 1,
        "train_dataloader.dataset.clips_per_video": 25,
        "train_dataloader.dataset.transform.size": (24, 32),
        "model.detector.backbone.width": 4,
        "model.detector.backbone.channel_ratio": 2,
        "train_cfg.max_epochs": NUM_ITERATIONS // 100,
    }
    run_iter = ExactTrainLoop.run_iter
    seen: list[tuple[int, float, float, int]] = []
    pids: set[int] = set()  # of the worker

    def run_and_look(loop: ExactTrainLoop, idx: int, batch: Any) -> None:
        run_iter(loop, idx, batch)
        if loop.iter % WARM_UP == 0:
            (worker,) = loop.dataloader._iterator._workers
            pids.add(worker.pid)
            seen.append((loop.iter, memory_mb("self"), memory_mb(worker.pid), len(os.listdir("/proc/self/fd"))))

    monkeypatch.setattr(ExactTrainLoop, "run_iter", run_and_look)
    train(CONFIG, work_dir=str(tmp_path / "work"), options=settings)
    print("\niterations, MB, MB of the worker, open files:", *seen, sep="\n")
    assert len(pids) == 1 and not any(Path(f"/proc/{pid}").exists() for pid in pids)  # one for all epochs, and gone
    assert [row[0] for row in seen] == list(range(WARM_UP, NUM_ITERATIONS + 1, WARM_UP))
    (_, memory, of_worker, files), *later = seen
    assert max(row[1] for row in later) < memory + MAX_GROWTH_MB
    assert max(row[2] for row in later) < of_worker + MAX_GROWTH_MB
    assert max(row[3] for row in later) <= files + ALLOWED_FILES
