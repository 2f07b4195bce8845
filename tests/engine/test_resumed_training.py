"""A real training that is cut off again and again, next to the same one that is not."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stal.data.scenes import generate
from stal.engine.entry import train
from stal.engine.train_loop import ExactTrainLoop

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")
NUM_STEPS = 10
NOT_EXACT = {"time", "data_time", "data_share", "memory"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 5, splits=("train", "iid"), width=96, height=72)
    return folder


def options(scenes: Path, **changes) -> dict[str, Any]:
    """Settings of two epochs of five steps, with all that draws from chance, and a checkpoint of every other step."""
    own = "stal.engine"
    return {
        "data.path": str(scenes / "annotations.json"),
        "train_dataloader.batch_size": 2,
        "train_dataloader.dataset.clips_per_video": 2,
        "model.detector.backbone.width": 4,
        "model.detector.backbone.channel_ratio": 2,
        "model.detector.classifier.dropout": 0.5,
        "model.data_preprocessor.mixer": {"type": "stal.mixing.batch_mix.BatchMix", "probability": 0.5},
        "train_cfg.max_epochs": 2,
        "validation.split": "iid",
        "validation.num_videos": 2,
        "validation.num_pictures": 0,
        "default_hooks.checkpoint.by_epoch": False,
        "default_hooks.checkpoint.interval": 2,
        "default_hooks.logger.interval": 1,
        "custom_hooks": [
            {"type": f"{own}.faults.checkpoint.PlainCheckpointHook"},
            {"type": f"{own}.faults.bad_samples.BadSamplesHook"},
            {"type": f"{own}.faults.guard.GuardHook"},
            {"type": f"{own}.short_history.ShortHistoryHook"},
            {"type": "mmengine.hooks.EMAHook"},
        ],
        **changes,
    }


class CutOffError(Exception):
    """The end of the power supply."""


def train_with_cuts(monkeypatch, work_dir: Path, steps_between: int | None, settings: list[dict[str, Any]]) -> int:
    """Train, and go on whenever the training is cut off, each time with the next settings; return how often."""
    run_iter, num_left = ExactTrainLoop.run_iter, itertools.count(1)

    def run_until_cut_off(loop: ExactTrainLoop, idx: int, batch: Any) -> None:
        run_iter(loop, idx, batch)
        if steps_between is not None and next(num_left) == steps_between:
            raise CutOffError

    for number in itertools.count():
        num_left = itertools.count(1)
        with monkeypatch.context() as patch:
            patch.setattr(ExactTrainLoop, "run_iter", run_until_cut_off)
            try:
                train(CONFIG, work_dir=str(work_dir), options=settings[number % len(settings)], resume=number > 0)
            except CutOffError:
                continue
        return number
    return -1


def checkpoint(work_dir: Path) -> dict[str, Any]:
    content = torch.load(work_dir / f"iter_{NUM_STEPS}.pth", weights_only=True)
    histories = content["message_hub"]["log_scalars"].items()
    content["message_hub"] = {name: history for name, history in histories if name.rpartition("/")[2] not in NOT_EXACT}
    return {name: content[name] for name in content if name != "meta"}


def logged(work_dir: Path) -> dict[tuple[bool, int], dict[str, float]]:
    """Return what was logged of every step and of every validation; where it was done again, it must be the same."""
    lines: dict[tuple[bool, int], dict[str, float]] = {}
    for path in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for text in path.read_text().splitlines():
            line = {name: value for name, value in json.loads(text).items() if name not in NOT_EXACT}
            key = ("lr" in line, line["step"])
            assert lines.setdefault(key, line) == line
    return lines


def assert_equal(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for of_a, of_b in zip(a, b, strict=True):
            assert_equal(of_a, of_b)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


TRAININGS = {
    "gradient penalty": {"model.penalty": {"type": "stal.losses.gradient_penalty.GradientPenalty", "weight": 1e-3}},
    "GroupDRO, accumulating": {
        "model.penalty": {
            "type": "stal.losses.group_dro.GroupDRO", "weight": 1.0, "num_classes": 9, "num_scenes": 9
        },
        "optim_wrapper.accumulative_counts": 2,
    },
    "float16": {"optim_wrapper.precision": "float16"},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("changes", TRAININGS.values(), ids=TRAININGS)
def test_a_training_that_is_cut_off_again_and_again_ends_as_one_that_was_not(scenes, tmp_path, monkeypatch, changes):
    settings = options(scenes, **changes)
    with_workers = {**settings, "train_dataloader.num_workers": 2}
    assert train_with_cuts(monkeypatch, tmp_path / "whole", None, [settings]) == 0
    assert train_with_cuts(monkeypatch, tmp_path / "cut", 3, [settings, with_workers]) == 4
    assert_equal(checkpoint(tmp_path / "cut"), checkpoint(tmp_path / "whole"))
    assert_equal(logged(tmp_path / "cut"), logged(tmp_path / "whole"))
    assert len(logged(tmp_path / "whole")) == NUM_STEPS + 2
