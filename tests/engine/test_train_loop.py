"""A training that is cut off at every moment there is, and goes on as one that was not."""

import dataclasses
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from stal.data.epoch_sampler import EpochSampler
from stal.engine.faults.checkpoint import PlainCheckpointHook
from stal.engine.faults.checkpoint_hook import SavingHook
from stal.engine.short_history import ShortHistoryHook
from stal.engine.train_loop import ExactTrainLoop, ValidatedEpochHook
from stal.errors import CheckpointError
from stal.structures import Annotations, Video

NUM_EPOCHS = 2
_numbers = itertools.count()


class Samples:
    """Seven points, each drawn anew in every epoch; `read` lists which were drawn."""

    def __init__(self) -> None:
        videos = tuple(Video(key, Path(f"{key}.avi"), 9, 6, 8) for key in "ab")
        self.metainfo = {"classes": ("run",)}
        self.annotations = Annotations(("run",), videos)
        self.read: list[int] = []

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Tensor]:
        entropy = index if isinstance(index, tuple) else (index, 0)
        self.read.append(entropy[0])
        return {"inputs": torch.from_numpy(np.random.default_rng(entropy).random(3, np.float32))}


class Model(BaseModel):
    """A network that draws from every source of chance there is."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, inputs: Tensor, mode: str = "loss") -> Any:
        found = self.network(inputs)
        if mode != "loss":
            return list(found)
        return {"loss": (found - np.random.rand() - random.random()).square().mean()}  # noqa: NPY002


class Score(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(sample.sum().item() for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"score": sum(results)}


class CutOffError(Exception):
    """The end of the power supply."""


class CutHook(Hook):
    """Cut a training off at the `moment`-th of the moments that it sees; it may be given the time to save."""

    priority = "LOWEST"

    def __init__(self, moment: int | None, saves: bool) -> None:
        self.moment = moment
        self.saves = saves
        self.num_moments = 0

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self._count(runner, saves=False)  # within an iteration, whose learning rate is logged already

    def _save_and_count(self, runner: Runner, *_: Any, **__: Any) -> None:
        self._count(runner, saves=self.saves)

    def _count(self, runner: Runner, *, saves: bool) -> None:
        if self.num_moments == self.moment:
            if saves:
                next(hook for hook in runner.hooks if isinstance(hook, SavingHook)).save_now(runner)
            raise CutOffError
        self.num_moments += 1

    after_train_iter = after_train_epoch = before_val_epoch = after_val_iter = after_val_epoch = _save_and_count


def build(
    work_dir: Path,
    checkpoint: dict,
    *,
    resume: bool = False,
    moment: int | None = None,
    saves: bool = False,
    accumulative_counts: int = 1,
    samples: Samples | None = None,
    batch_size: int = 2,
    extra: tuple[Hook, ...] = (),
) -> tuple[Runner, CutHook]:
    samples, cut = samples or Samples(), CutHook(moment, saves)
    runner = Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader(samples, batch_size, sampler=EpochSampler(samples, seed=3), drop_last=True),
        train_cfg={"type": ExactTrainLoop, "max_epochs": NUM_EPOCHS},
        val_dataloader=DataLoader(Samples(), 4),
        val_cfg={},
        val_evaluator=[Score()],
        optim_wrapper={
            "optimizer": {"type": "AdamW", "lr": 0.1},
            "accumulative_counts": accumulative_counts,
            "clip_grad": {"max_norm": 1.0},
        },
        param_scheduler=[
            {"type": "LinearLR", "by_epoch": False, "begin": 0, "end": 5, "start_factor": 0.1},
            {"type": "StepLR", "by_epoch": True, "step_size": 1, "gamma": 0.5},
        ],
        default_hooks={"checkpoint": {"type": SavingHook, **checkpoint}},
        custom_hooks=[
            PlainCheckpointHook(),
            ShortHistoryHook(),
            ValidatedEpochHook(),
            EMAHook(momentum=0.3),
            cut,
            *extra,
        ],
        log_processor={"window_size": 3},
        log_level="ERROR",
        randomness={"seed": 3},
        resume=resume,
        experiment_name=f"{work_dir.name} {next(_numbers)}",
    )
    return runner, cut


def state_of(runner: Runner) -> dict[str, Any]:
    """Return all that a training leaves, but for the time that it took."""
    (ema,) = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    histories = runner.message_hub.log_scalars.items()
    return {
        "weights": runner.model.state_dict(),
        "averages": ema.ema_model.state_dict(),
        "optimizer": runner.optim_wrapper.state_dict(),
        "schedules": [(s.last_step, s.get_last_value()) for s in runner.param_schedulers],
        "logged": {name: [part.tolist() for part in h.data] for name, h in histories if not name.endswith("time")},
    }


def assert_equal(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Leave out what mmengine asks of the machine for its log."""
    monkeypatch.setattr(Runner, "_log_env", lambda *_: None)


BY_ITERATION = {"by_epoch": False, "interval": 1, "max_keep_ckpts": 2}
BEST = {"interval": 1, "save_best": "score", "rule": "less"}


@pytest.mark.parametrize(
    ("checkpoint", "settings"),
    [
        pytest.param({**BY_ITERATION, "interval": 2}, {}, id="after every other step"),
        pytest.param({"interval": 1}, {"saves": True}, id="after every epoch and when it is cut off"),
        pytest.param({"interval": 1}, {}, id="after every epoch", marks=pytest.mark.slow),
        pytest.param(BY_ITERATION, {}, id="after every step", marks=pytest.mark.slow),
        pytest.param(BY_ITERATION, {"accumulative_counts": 2}, id="accumulating", marks=pytest.mark.slow),
        pytest.param(BEST, {}, id="keeping the best", marks=pytest.mark.slow),
    ],
)
def test_a_training_that_is_cut_off_at_any_moment_ends_as_one_that_was_not(tmp_path, checkpoint, settings):
    whole, cut = build(tmp_path / "whole", checkpoint, **settings)
    whole.train()
    assert cut.num_moments == NUM_EPOCHS * (3 * 2 + 1 + 1 + 2 + 1)
    expected = state_of(whole)
    for moment in range(cut.num_moments):
        work_dir = tmp_path / str(moment)
        with pytest.raises(CutOffError):
            build(work_dir, checkpoint, moment=moment, **settings)[0].train()
        resumed, _ = build(work_dir, checkpoint, resume=(work_dir / "last_checkpoint").is_file(), **settings)
        resumed.train()
        assert_equal(state_of(resumed), expected)


def test_a_training_that_is_cut_off_again_and_again_ends_as_one_that_was_not(tmp_path):
    whole, _ = build(tmp_path / "whole", BY_ITERATION)
    whole.train()
    for number in itertools.count():
        runner, _ = build(tmp_path / "cut", BY_ITERATION, resume=number > 0, moment=3 + number)
        try:
            runner.train()
        except CutOffError:
            continue
        break
    assert number >= 3
    assert_equal(state_of(runner), state_of(whole))


def cut_off(tmp_path: Path, moment: int, checkpoint: dict = BY_ITERATION, **settings) -> None:
    with pytest.raises(CutOffError):
        build(tmp_path, checkpoint, moment=moment, **settings)[0].train()


def test_no_sample_is_read_again_for_a_batch_that_was_trained_on(tmp_path):
    whole = Samples()
    build(tmp_path / "whole", BY_ITERATION, samples=whole)[0].train()
    cut_off(tmp_path / "cut", moment=4)  # in the third step
    resumed = Samples()
    build(tmp_path / "cut", BY_ITERATION, resume=True, samples=resumed)[0].train()
    assert resumed.read == whole.read[4:]


class Validations(Hook):
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def before_val(self, runner: Runner) -> None:
        self.epochs.append(runner.epoch)


@pytest.mark.parametrize(
    ("checkpoint", "moment", "epochs"),
    [
        ({"interval": 1}, 6, [1, 2]),  # behind the first epoch
        ({"interval": 1}, 8, [1, 2]),  # in its validation
        ({"interval": 1}, 10, [1, 2]),  # behind it, where nothing is saved
        (BEST, 10, [2]),  # behind it, where it was
        (BY_ITERATION, 12, [2]),  # in the second epoch
        ({"interval": 1}, 19, [2]),  # in the last validation
    ],
)
def test_a_validation_that_was_cut_off_is_made_up_for(tmp_path, checkpoint, moment, epochs):
    cut_off(tmp_path, moment, checkpoint)
    validations = Validations()
    build(tmp_path, checkpoint, resume=True, extra=(validations,))[0].train()
    assert validations.epochs == epochs


def test_an_epoch_ends_with_a_step_of_the_optimizer(tmp_path):
    class Boundaries(Hook):
        def __init__(self) -> None:
            self.seen: list[bool] = []

        def after_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
            gradients = [weight.grad for weight in runner.model.parameters()]
            self.seen.append(all(gradient is None for gradient in gradients))

    boundaries = Boundaries()
    build(tmp_path, BY_ITERATION, accumulative_counts=2, extra=(boundaries,))[0].train()
    assert boundaries.seen == [False, True, True] * NUM_EPOCHS


def other_annotations(samples: Samples) -> None:
    (video, *others) = samples.annotations.videos
    samples.annotations = Annotations(("run",), (dataclasses.replace(video, scene="beach"), *others))


def fewer_samples(samples: Samples) -> None:
    samples.__class__ = type("Fewer", (Samples,), {"__len__": lambda self: 5})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_annotations, "had other annotations .*load_from"),
        (fewer_samples, "epochs of 3 batches, but this one has epochs of 2: resume with the same batch_size"),
    ],
)
def test_a_training_does_not_go_on_with_other_data(tmp_path, change: Callable[[Samples], None], message):
    cut_off(tmp_path, moment=3)
    samples = Samples()
    change(samples)
    runner, _ = build(tmp_path, BY_ITERATION, resume=True, samples=samples)
    with pytest.raises(CheckpointError, match=message):
        runner.train()
