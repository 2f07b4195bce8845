"""A training of one weight, whose every checkpoint is looked at."""

from pathlib import Path

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from stal.engine.faults import checkpoint_file
from stal.engine.faults.checkpoint import PlainCheckpointHook, find_checkpoint, read_checkpoint
from stal.engine.faults.checkpoint_hook import SavingHook, on_step_boundary
from stal.errors import CheckpointError, ConfigError


class Model(BaseModel):
    """A weight that every step of the optimizer lowers by the mean of the numbers in its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode="loss"):
        return {"loss": (self.weight * inputs.float().mean()).sum()} if mode == "loss" else [self.weight.item()]


class Score(BaseMetric):
    """The next of the scores that it is given, whatever was predicted."""

    default_prefix = "v"

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = list(scores)

    def process(self, data_batch, data_samples) -> None:
        self.results.append(0)

    def compute_metrics(self, results):
        return {"score": self.scores.pop(0)}


class Calls(Hook):
    """Call something after an iteration of the training, or of a validation."""

    priority = "LOWEST"

    def __init__(self, call, *, after: int | None = None, in_validation: int | None = None) -> None:
        self.call, self.after, self.in_validation = call, after, in_validation

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter + 1 == self.after:
            self.call(runner)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.epoch == self.in_validation and batch_idx == 0:
            self.call(runner)


def build(work_dir: Path, hook: SavingHook, *hooks: Hook, scores=(), epochs=3, resume=False, accumulate=1) -> Runner:
    """Return a runner of epochs of three batches of one number each."""
    validation = {}
    if scores:
        loader = DataLoader([{"inputs": 1.0}] * 2)
        validation = {"val_dataloader": loader, "val_cfg": {}, "val_evaluator": [Score(list(scores))]}
    numbers = [{"inputs": number} for number in (1.0, 2.0, 4.0)]
    return Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader(numbers, sampler=DefaultSampler(numbers, shuffle=False)),
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 1.0}, "accumulative_counts": accumulate},
        default_hooks={"checkpoint": hook},
        custom_hooks=[PlainCheckpointHook(), *hooks],
        load_from=str(find_checkpoint(work_dir)) if resume else None,
        resume=resume,
        experiment_name=f"{work_dir} {len(list(work_dir.glob('2*')))} {resume}",
        log_level="WARNING",
        randomness={"seed": 3},
        **validation,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pth*"))


def weight_in(path: Path) -> float:
    return read_checkpoint(path)["state_dict"]["weight"].item()


def test_a_checkpoint_says_where_it_stands_and_what_the_order_of_the_data_depends_on(tmp_path):
    build(tmp_path, SavingHook(), epochs=2).train()
    meta = read_checkpoint(tmp_path)["meta"]
    expected = {"epoch": 2, "iter": 6, "num_processes": 1, "batch_size": 1, "seed": 3}
    assert {key: meta[key] for key in expected} == expected
    assert weight_in(tmp_path / "epoch_1.pth") == -7
    assert weight_in(tmp_path / "epoch_2.pth") == -14


@pytest.mark.parametrize(
    ("settings", "kept", "last"),
    [
        ({}, ["epoch_1.pth", "epoch_2.pth", "epoch_3.pth"], "epoch_3.pth"),
        ({"interval": 2}, ["epoch_2.pth", "epoch_3.pth"], "epoch_3.pth"),
        ({"interval": 2, "save_last": False}, ["epoch_2.pth"], "epoch_2.pth"),
        ({"save_begin": 2}, ["epoch_2.pth", "epoch_3.pth"], "epoch_3.pth"),
        ({"interval": -1}, ["epoch_3.pth"], "epoch_3.pth"),
        ({"max_keep_ckpts": 1}, ["epoch_3.pth"], "epoch_3.pth"),
        ({"max_keep_ckpts": 2}, ["epoch_2.pth", "epoch_3.pth"], "epoch_3.pth"),
        (
            {"by_epoch": False, "interval": 4},
            ["iter_4.pth", "iter_8.pth", "iter_9.pth"],
            "iter_9.pth",
        ),
        ({"by_epoch": False, "interval": 2, "max_keep_ckpts": 2}, ["iter_8.pth", "iter_9.pth"], "iter_9.pth"),
    ],
)
def test_what_is_saved_and_kept(tmp_path, settings, kept, last):
    build(tmp_path, SavingHook(**settings)).train()
    assert names(tmp_path) == kept
    assert find_checkpoint(tmp_path) == tmp_path / last


def test_within_an_epoch_it_says_how_many_epochs_have_ended(tmp_path):
    build(tmp_path, SavingHook(by_epoch=False, interval=4)).train()
    positions = [read_checkpoint(tmp_path / f"iter_{step}.pth")["meta"] for step in (4, 8)]
    assert [(meta["epoch"], meta["iter"]) for meta in positions] == [(1, 4), (2, 8)]
    assert weight_in(tmp_path / "iter_4.pth") == -8


def test_one_that_is_due_between_two_steps_of_the_optimizer_waits_for_the_next(tmp_path):
    build(tmp_path, SavingHook(by_epoch=False, interval=3), accumulate=2).train()
    assert names(tmp_path) == ["iter_4.pth", "iter_6.pth", "iter_9.pth"]
    # accumulated gradients are divided by their number
    assert weight_in(tmp_path / "iter_4.pth") == -(1 + 2 + 4 + 1) / 2


def test_any_moment_can_be_saved(tmp_path):
    hook, saved = SavingHook(max_keep_ckpts=2), []
    build(tmp_path, hook, Calls(lambda runner: saved.append(hook.save_now(runner)), after=5)).train()
    assert saved == [tmp_path / "iter_5.pth"]
    assert names(tmp_path) == ["epoch_2.pth", "epoch_3.pth"]  # it counts among those that are kept

    hook = SavingHook(max_keep_ckpts=2)
    build(tmp_path, hook, Calls(lambda runner: hook.save_now(runner), after=8)).train()
    assert names(tmp_path) == ["epoch_3.pth", "iter_8.pth"]


def test_the_last_iteration_of_an_epoch_is_within_it_until_the_hooks_of_its_end_were_called(tmp_path):
    hook = SavingHook(interval=-1)
    build(tmp_path, hook, Calls(hook.save_now, after=3)).train()
    meta = read_checkpoint(tmp_path / "iter_3.pth")["meta"]
    assert (meta["epoch"], meta["iter"]) == (0, 3)


def test_accumulated_gradients_are_not_lost_in_silence(tmp_path):
    hook = SavingHook()
    runner = build(tmp_path, hook, Calls(hook.save_now, after=1), accumulate=2)
    with pytest.raises(CheckpointError, match="after iteration 1, between two steps"):
        runner.train()
    assert not on_step_boundary(runner)
    assert names(tmp_path) == []


def test_a_moment_of_a_validation_is_saved_with_the_trained_weights_not_the_averaged(tmp_path):
    hook = SavingHook(interval=2)
    seen = []

    def save(runner):
        seen.append(runner.model.weight.item())
        hook.save_now(runner)
        seen.append(runner.model.weight.item())

    build(tmp_path, hook, EMAHook(momentum=0.5), Calls(save, in_validation=1), scores=(0.0, 0.0, 0.0)).train()
    checkpoint = read_checkpoint(tmp_path / "iter_3.pth")
    averaged = checkpoint["state_dict"]["weight"].item()  # where mmengine keeps averages for use
    trained = checkpoint["ema_state_dict"]["module.weight"].item()
    assert trained == -7
    assert averaged != trained
    assert seen == [averaged, averaged]
    assert (checkpoint["meta"]["epoch"], checkpoint["meta"]["iter"]) == (1, 3)


def test_a_moment_of_a_validation_that_was_saved_before_it_is_not_saved_twice(tmp_path):
    hook, saved = SavingHook(), []
    calls = Calls(lambda runner: saved.append(hook.save_now(runner)), in_validation=2)
    build(tmp_path, hook, calls, scores=(0.0, 0.0, 0.0)).train()
    assert saved == [tmp_path / "epoch_2.pth"]
    assert not (tmp_path / "iter_6.pth").exists()


def test_a_resumed_training_goes_on_removing_what_is_not_kept(tmp_path):
    build(tmp_path, SavingHook(max_keep_ckpts=2), epochs=2).train()
    build(tmp_path, SavingHook(max_keep_ckpts=2), epochs=4, resume=True).train()
    assert names(tmp_path) == ["epoch_3.pth", "epoch_4.pth"]
    assert weight_in(tmp_path / "epoch_4.pth") == -28


def test_nothing_is_removed_when_the_new_one_is_not_read_back(tmp_path, monkeypatch):
    def altered(path):
        raise CheckpointError("altered")

    build(tmp_path, SavingHook(max_keep_ckpts=1), epochs=2).train()
    monkeypatch.setattr(checkpoint_file, "check_file", altered)
    with pytest.raises(CheckpointError, match=r"epoch_3\.pth is not read back"):
        build(tmp_path, SavingHook(max_keep_ckpts=1), epochs=3, resume=True).train()
    monkeypatch.undo()
    assert names(tmp_path) == ["epoch_2.pth"]
    assert find_checkpoint(tmp_path).name == "epoch_2.pth"


def test_the_best_is_kept_and_an_earlier_best_removed(tmp_path):
    build(tmp_path, SavingHook(save_best="v/score", rule="greater"), scores=(0.2, 0.5, 0.4)).train()
    assert names(tmp_path) == ["best_v_score_epoch_2.pth", "epoch_1.pth", "epoch_2.pth", "epoch_3.pth"]
    best = read_checkpoint(tmp_path / "best_v_score_epoch_2.pth")
    assert best["state_dict"]["weight"].item() == -14
    assert "optimizer" not in best


@pytest.mark.parametrize(
    ("rule", "scores", "best"),
    [("less", (0.5, 0.2, 0.4), 2), ("greater", (0.5, 0.5, 0.5), 1), ("greater", (float("nan"), 0.1, 0.0), 2)],
)
def test_what_is_better(tmp_path, rule, scores, best):
    build(tmp_path, SavingHook(interval=-1, save_best="auto", rule=rule), scores=scores).train()
    assert f"best_v_score_epoch_{best}.pth" in names(tmp_path)
    assert len([name for name in names(tmp_path) if name.startswith("best")]) == 1


def test_a_resumed_training_knows_the_best(tmp_path):
    hook = SavingHook(save_best="v/score", rule="greater", max_keep_ckpts=1)
    build(tmp_path, hook, scores=(0.2, 0.5), epochs=2).train()
    hook = SavingHook(save_best="v/score", rule="greater", max_keep_ckpts=1)
    build(tmp_path, hook, scores=(0.4, 0.6), epochs=4, resume=True).train()
    assert names(tmp_path) == ["best_v_score_epoch_4.pth", "epoch_4.pth"]


def test_a_best_by_what_is_not_measured_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"save_best = 'mAP' is not measured .* v/score"):
        build(tmp_path, SavingHook(save_best="mAP"), scores=(0.2,), epochs=1).train()
