"""`tools/train.py` that is asked to stop by those who can ask: schedulers, terminals, people."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from stal.data.scenes import generate

NUM_STEPS = 40

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 4, splits=("train", "iid"), width=96, height=72)
    return folder


@pytest.fixture
def start(start_training, scenes) -> Callable[..., subprocess.Popen]:
    """Begin a training, with workers, in the work directory given."""
    settings = {
        "train_dataloader.num_workers": 2,
        "train_dataloader.dataset.clips_per_video": 10,
        "train_cfg.max_epochs": NUM_STEPS // 20,
    }
    return partial(start_training, scenes, settings=settings)


def wait_for_steps(process: subprocess.Popen, work_dir: Path, num_steps: int) -> None:
    while sum(log.read_text().count("\n") for log in work_dir.glob("*/vis_data/scalars.json")) < num_steps:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def workers_of(process: subprocess.Popen) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def to_all(process: subprocess.Popen, number: int) -> None:
    """Signal the whole process group, as a terminal, `timeout` and `kill -- -GROUP` do."""
    os.killpg(process.pid, number)


def to_one(process: subprocess.Popen, number: int) -> None:
    process.send_signal(number)


@pytest.mark.parametrize(
    ("send", "number", "exit_code"),
    [(to_all, signal.SIGTERM, 143), (to_one, signal.SIGUSR1, 138), (to_all, signal.SIGINT, 130)],
)
def test_a_signal_ends_the_tool_with_all_that_it_has_done(
    start, tmp_path, send: Callable[[subprocess.Popen, int], None], number, exit_code
):
    process = start(tmp_path)
    wait_for_steps(process, tmp_path, 3)
    send(process, number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == exit_code, output
    assert "Traceback" not in output
    assert f"stopped by {signal.Signals(number).name} after iteration " in output
    last = Path((tmp_path / "last_checkpoint").read_text())
    assert torch.load(last, weights_only=True)["meta"]["iter"] >= 3
    process = start(tmp_path, "--resume")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert torch.load(tmp_path / "epoch_2.pth", weights_only=True)["meta"]["iter"] == NUM_STEPS


def test_a_second_ctrl_c_ends_the_tool_at_once(start, tmp_path):
    process = start(tmp_path)
    wait_for_steps(process, tmp_path, 3)
    to_all(process, signal.SIGINT)
    to_all(process, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output


def test_a_killed_worker_is_named_and_the_checkpoint_is_good(start, tmp_path):
    process = start(tmp_path)
    wait_for_steps(process, tmp_path, 22)  # the first checkpoint comes after 20
    os.kill(workers_of(process)[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "error: a worker of the loader died (is killed by signal: Killed.): worker" in output, output
    assert torch.load(tmp_path / "epoch_1.pth", weights_only=True)["meta"]["iter"] == 20


def test_the_workers_of_a_killed_tool_end_at_once(start, tmp_path):
    process = start(tmp_path)
    wait_for_steps(process, tmp_path, 3)
    workers = workers_of(process)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 4  # torch's own check comes every five seconds
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in workers)
