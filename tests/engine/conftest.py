"""A small model, and clips of noise on which it is trained for a step."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub

from stal.engine.model import DetectionModel
from stal.engine.preprocessor import ClipPreprocessor
from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.penalty import Penalty
from stal.mixing.batch_mix import BatchMix
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector
from stal.structures import Clip

ROOT = Path(__file__).parents[2]
FRAMES, HEIGHT, WIDTH = 8, 32, 48


def build_small_detector(norm: str = "group", **changes: object) -> TubeDetector:
    torch.manual_seed(0)
    backbone = SlowFast(
        depth=18,
        width=8,
        channel_ratio=4,
        norm=norm,
        fusion_kernel=3,
        spatial_strides=(1, 2, 1, 1),
        stem_kernels=((1, 3, 3), (3, 3, 3)),
    )
    arguments = {
        "num_classes": 3,
        "proposals": {"channels": 16, "anchor_sizes": (16,), "aspect_ratios": (1.0,), "num_train": 8, "num_test": 8},
        "regressor": {"channels": 16, "bins": 3},
        "classifier": {"bins": 3, "dropout": 0.0},
        "num_samples": 4,
        "min_score": 0.0,
    }
    return TubeDetector(backbone, **(arguments | changes))


def build_small_model(
    penalty: float | Penalty | None = None, mixer: BatchMix | None = None, *, seed: int = 0, **changes: object
) -> DetectionModel:
    """Return a model with a penalty, or with the gradient penalty of this weight."""
    if isinstance(penalty, float):
        penalty = GradientPenalty(penalty)
    return DetectionModel(build_small_detector(), ClipPreprocessor(mixer, seed=seed), penalty=penalty, **changes)


def build_clip(boxes: list[list[float]], *, on_keyframe: bool = True, seed: int = 0) -> Clip:
    """Return noise in which actors stand still, of a video twice as large."""
    valid = torch.ones(len(boxes), FRAMES, dtype=torch.bool)
    valid[:, FRAMES // 2] = on_keyframe
    noise = torch.randint(0, 256, (3, FRAMES, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(seed))
    return Clip(
        frames=noise.to(torch.uint8),
        boxes=torch.tensor(boxes).reshape(-1, 1, 4).repeat(1, FRAMES, 1) * valid[..., None],
        valid=valid,
        labels=torch.arange(len(boxes)) % 3,
        actor_masks=None,
        video_key=f"video {seed}",
        frame_indices=torch.arange(FRAMES),
        to_video=torch.tensor([2.0, 2.0, 0.0, 0.0]),
        video_size=(2 * HEIGHT, 2 * WIDTH),
        scene=seed % 2,
    )


def build_clips() -> list[Clip]:
    """Return a clip of two actors and one of another, on other scenes."""
    return [
        build_clip([[4.0, 8.0, 20.0, 24.0], [24.0, 4.0, 40.0, 30.0]]),
        build_clip([[10.0, 2.0, 26.0, 30.0]], seed=1),
    ]


def losses_of(model: DetectionModel, clips: list[Clip]) -> dict[str, torch.Tensor]:
    return model.train()(model.data_preprocessor.prepare(clips, True), mode="loss")


@pytest.fixture
def small_detector() -> Callable[..., TubeDetector]:
    return build_small_detector


@pytest.fixture
def small_model() -> Callable[..., DetectionModel]:
    return build_small_model


@pytest.fixture
def make_clip() -> Callable[..., Clip]:
    return build_clip


@pytest.fixture
def clips() -> list[Clip]:
    return build_clips()


@pytest.fixture
def train_losses() -> Callable[[DetectionModel, list[Clip]], dict[str, torch.Tensor]]:
    return losses_of


@pytest.fixture
def message_hub(tmp_path) -> MessageHub:
    """Give a test a message hub of its own, as a runner has."""
    return MessageHub.get_instance(f"test in {tmp_path}")


@pytest.fixture(scope="session")
def run_two_processes(tmp_path_factory) -> Callable[[str], Path]:
    """Run a script as two processes, by `script.py FOLDER RANK`, and return the folder when both are done."""

    def run(script: str) -> Path:
        folder = tmp_path_factory.mktemp("processes")
        started = []
        for rank in (0, 1):
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "LOCAL_RANK": str(rank)}
            command = [sys.executable, script, str(folder), str(rank)]
            with (folder / f"log_{rank}").open("w") as log:
                started.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder))
        try:
            for rank, process in enumerate(started):
                assert process.wait(timeout=600) == 0, f"process {rank}\n" + "\n".join(
                    (folder / f"log_{each}").read_text()[-2000:] for each in (0, 1)
                )
        finally:
            for process in started:
                process.kill()
                process.wait()
        return folder

    return run


@pytest.fixture(scope="session")
def start_training() -> Callable[..., subprocess.Popen]:
    """Begin a `tools/train.py` of a tiny model, with a session of its own as a shell gives it one.

    The fixture returns a function of the folder of generated scenes, the work directory, flags of the tool, the number
    of processes, and settings by their names.
    """

    def start(
        scenes: Path, work_dir: Path, *flags: str, num_processes: int = 1, settings: dict[str, object]
    ) -> subprocess.Popen:
        small = {
            "data.path": scenes / "annotations.json",
            "train_dataloader.batch_size": 2,
            "model.detector.backbone.width": 4,
            "model.detector.backbone.channel_ratio": 2,
            "default_hooks.logger.interval": 1,
        }
        several = num_processes > 1
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
        return subprocess.Popen(
            [
                *(sys.executable, *(launch if several else ()), "tools/train.py", "configs/scenes_small_plain.py"),
                *("--work-dir", work_dir, *flags, *(("--launcher", "pytorch") if several else ())),
                *("--cfg-options", *(f"{name}={value}" for name, value in {**small, **settings}.items())),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture
def mount_disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """Return the folder of an empty disk that holds so many bytes; only root can have one."""
    folder = tmp_path / "disk"

    def mount(num_bytes: int) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "none", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root may mount a disk")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
