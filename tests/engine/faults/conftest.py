"""A training of a moment: three weights and batch norm, on the mean colours of clips that a stub decodes."""

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from stal.data import clips, transforms
from stal.engine.faults.checkpoint import PlainCheckpointHook
from stal.engine.faults.checkpoint_hook import SavingHook
from stal.engine.faults.guard import GuardHook
from stal.engine.loader import ClipLoader, build_loader
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.engine.train_loop import ExactTrainLoop, ValidatedEpochHook
from stal.structures import Annotations, Tube, Video

KEYS = "abcdefgh"
_TUBE = Tube(0, np.arange(9), np.tile(np.float32([1, 1, 4, 5]), (9, 1)))
_names = itertools.count()


def read_frames(path: Path, indices: np.ndarray, **_: Any) -> np.ndarray:
    """Stand in for the decoder: the colour of a video is that of its name, and each frame is a little brighter."""
    colour = np.random.default_rng(ord(path.stem[0])).integers(0, 200, 3, np.uint8)
    return np.broadcast_to(colour + np.uint8(indices)[:, None, None, None], (len(indices), 6, 8, 3)).copy()


class MeanColours(BaseDataPreprocessor):
    def forward(self, data: list, training: bool = False) -> dict[str, Tensor]:
        return {"inputs": torch.stack([clip.frames.float().mean((1, 2, 3)) / 255 for clip in data])}


class Model(BaseModel):
    """A network whose loss is not finite for some batches, by their numbers."""

    def __init__(self, faulty: Mapping[int, str]) -> None:
        super().__init__(MeanColours())
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
        self.faulty = faulty
        self.num_batches = 0

    def forward(self, inputs: Tensor, mode: str = "loss") -> Any:
        if mode != "loss":
            return list(self.network(inputs))
        fault, self.num_batches = self.faulty.get(self.num_batches), self.num_batches + 1
        found = self.network(inputs * (math.nan if fault == "loss" else 1.0))
        if fault == "gradient":
            found.register_hook(lambda gradient: gradient * math.nan)
        return {"loss": (found - 1).square().mean()}


class MeanScore(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(sample.item() for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"score": float(np.mean(results))}


def small_loader(work_dir: Path, name: str = "train_dataloader", **settings: Any) -> ClipLoader:
    described = {
        "split": "train",
        "num_frames_clip": 4,
        "stride": 1,
        "transform": {"type": transforms.TestTransform, "size": (6, 8)},
    }
    if settings.get("num_workers"):
        settings["multiprocessing_context"] = "fork"  # so that workers see the stub
    config = Config({name: {"batch_size": 2, "dataset": described, **settings}, "work_dir": str(work_dir)})
    videos = tuple(Video(key, Path(f"{key}.avi"), 9, 6, 8, tubes=(_TUBE,)) for key in KEYS)
    return build_loader(config, name, Annotations(("run",), videos), seed=0)


def small_training(
    work_dir: Path,
    *hooks: Hook,
    faulty: Mapping[int, str] | None = None,
    max_in_a_row: int = 2,
    num_epochs: int = 3,
    validate: bool = False,
    resume: bool = False,
    num_workers: int = 0,
    wrapper: type = GuardedOptimWrapper,
    **wrapper_settings: Any,
) -> Runner:
    """Return a training of four batches an epoch; faulty are some batches of this run, by their numbers."""
    validating = {
        "val_dataloader": small_loader(work_dir, "test_dataloader"),
        "val_cfg": {},
        "val_evaluator": [MeanScore()],
    }
    return Runner(
        model=Model(faulty or {}),
        work_dir=str(work_dir),
        train_dataloader=small_loader(work_dir, num_workers=num_workers),
        train_cfg={"type": ExactTrainLoop, "max_epochs": num_epochs},
        **(validating if validate else {}),
        optim_wrapper={"type": wrapper, "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}, **wrapper_settings},
        param_scheduler=[{"type": "LinearLR", "by_epoch": False, "begin": 0, "end": 100, "start_factor": 0.1}],
        default_hooks={"checkpoint": {"type": SavingHook, "interval": 100, "save_last": False}},
        custom_hooks=[PlainCheckpointHook(), ValidatedEpochHook(), EMAHook(), GuardHook(max_in_a_row), *hooks],
        randomness={"seed": 3},
        resume=resume,
        launcher="pytorch" if torch.distributed.is_initialized() else "none",
        cfg=Config({"model_wrapper_cfg": {"type": "MMDistributedDataParallel", "device_ids": None}}),
        experiment_name=f"{work_dir.name} {next(_names)}",
    )


@pytest.fixture
def decoder(monkeypatch) -> None:
    monkeypatch.setattr(clips, "read_frames", read_frames)
    monkeypatch.setattr(clips, "damage_of", lambda path, num_frames: None)


@pytest.fixture
def make_loader(decoder) -> Callable[..., ClipLoader]:
    return small_loader


@pytest.fixture
def make_training(decoder) -> Callable[..., Runner]:
    return small_training
