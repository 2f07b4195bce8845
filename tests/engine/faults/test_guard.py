"""What a training does about batches whose loss or gradient is not finite."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from stal.engine.faults import bad_batches, guard
from stal.engine.faults.bad_batches import sample_ids, write_batch
from stal.engine.faults.guard import GuardHook
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.errors import ConfigError, TrainingError


def log_of(work_dir: Path) -> str:
    (path,) = work_dir.glob("*/*.log")
    return path.read_text()


def ema_of(runner: Runner) -> Any:
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    return hook.ema_model


@pytest.mark.parametrize("fault", ["loss", "gradient"])
def test_a_batch_that_is_not_finite_is_skipped_named_and_written(make_training, tmp_path, fault):
    runner = make_training(tmp_path, faulty={5: fault})
    runner.train()
    path = tmp_path / "bad_batches" / "iteration_000006_rank_0.pth"
    assert list(path.parent.iterdir()) == [path]
    written = torch.load(path, weights_only=True)
    assert written["fault"] == fault and written["iteration"] == 6 and written["seed"] == 3
    assert math.isnan(written["losses"]["loss"]) == (fault == "loss")
    keys = [sample["video_key"] for sample in written["samples"]]
    assert len(keys) == 2 and written["samples"][0]["frames"].shape == (3, 4, 6, 8)
    said = f"iteration 6: the {fault} is not finite; samples: {keys[0]} (keyframe "
    (line,) = (line for line in log_of(tmp_path).splitlines() if said in line)
    assert keys[1] in line and str(path) in line
    assert "1 batches were skipped" in log_of(tmp_path)


def test_what_follows_the_weights_does_not_see_a_skipped_batch(make_training, tmp_path):
    runner = make_training(tmp_path, faulty={5: "loss", 8: "gradient"})
    runner.train()
    assert runner.iter == 12
    assert [scheduler.last_step for scheduler in runner.param_schedulers] == [10]
    assert int(ema_of(runner).steps) == 10
    assert all(value.isfinite().all() for value in ema_of(runner).state_dict().values())
    logged, _ = runner.message_hub.get_scalar("train/loss").data
    assert len(logged) == 10 and all(map(math.isfinite, logged))


def test_too_many_in_a_row_end_the_training_and_are_named(make_training, tmp_path):
    runner = make_training(tmp_path, faulty={1: "loss", 4: "loss", 5: "gradient", 6: "loss"})
    weights = {}
    runner.register_hook(Remember(weights))
    with pytest.raises(
        TrainingError,
        match=r"3 batches in a row .*max_in_a_row = 2\. The last, iteration 7: the loss is not finite; samples: "
        r"[a-h] \(keyframe \d\), [a-h] \(keyframe \d\) \(in .*iteration_000007_rank_0\.pth\)\. .*learning rate",
    ):
        runner.train()
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, weights[4][name]), name  # as after the fourth batch


class Remember(GuardHook):
    """Keep the weights after each batch."""

    def __init__(self, weights: dict[int, Any]) -> None:
        self.weights = weights

    def before_train(self, runner: Runner) -> None:
        pass

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self.weights[runner.iter + 1] = {name: value.clone() for name, value in runner.model.state_dict().items()}


def test_a_good_batch_in_between_begins_a_new_row(make_training, tmp_path):
    runner = make_training(tmp_path, faulty={0: "loss", 1: "loss", 3: "loss", 4: "loss", 6: "loss", 11: "loss"})
    runner.train()
    assert runner.message_hub.get_info("num_faulty_batches") == 6


def test_a_good_batch_whose_step_is_dropped_begins_no_new_row(make_training, tmp_path):
    with pytest.raises(TrainingError, match=r"3 batches in a row .* iteration 6:"):
        make_training(tmp_path, faulty={1: "loss", 3: "loss", 5: "loss"}, accumulative_counts=2).train()
    runner = make_training(tmp_path / "2", faulty={1: "loss", 3: "loss", 7: "loss"}, accumulative_counts=2)
    runner.train()
    assert runner.message_hub.get_info("num_faulty_batches") == 3


def test_a_resumed_training_counts_the_row_on(make_training, tmp_path):
    first = make_training(tmp_path, faulty={3: "loss"}, num_epochs=1, max_in_a_row=1)
    first.register_hook(SaveAtEnd())
    first.train()
    with pytest.raises(TrainingError, match="2 batches in a row"):
        make_training(tmp_path, faulty={0: "loss"}, num_epochs=2, max_in_a_row=1, resume=True).train()


class SaveAtEnd(GuardHook):
    priority = "LOWEST"

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        if runner.iter == 3:
            (saving,) = (hook for hook in runner.hooks if hasattr(hook, "save_now"))
            saving.save_now(runner)


def test_none_may_be_faulty_if_the_config_says_so(make_training, tmp_path):
    with pytest.raises(TrainingError, match="1 batches in a row"):
        make_training(tmp_path, faulty={2: "loss"}, max_in_a_row=0).train()
    with pytest.raises(ConfigError, match="max_in_a_row = -1 must be at least 0"):
        GuardHook(-1)


def test_the_fault_of_another_process_is_named_by_that_process(make_training, tmp_path, monkeypatch):
    runner = make_training(tmp_path, num_epochs=1)
    monkeypatch.setattr(guard, "all_gather_object", lambda own: [own, "z (keyframe 1)"])
    look = GuardedOptimWrapper._look_for_fault

    def look_elsewhere(wrapper: Any, loss: torch.Tensor) -> bool:
        overflows = look(wrapper, loss)
        wrapper.fault, wrapper.is_own_fault = "loss", False
        return overflows

    monkeypatch.setattr(GuardedOptimWrapper, "_look_for_fault", look_elsewhere)
    with pytest.raises(TrainingError, match=r"the loss is not finite; samples: z \(keyframe 1\)\. If"):
        runner.train()
    assert not (tmp_path / "bad_batches").exists()


def test_a_training_without_guard_is_warned(make_training, tmp_path):
    make_training(tmp_path, num_epochs=1, wrapper=OptimWrapper).train()
    assert "optim_wrapper is a OptimWrapper: losses and gradients that are not finite will change the" in log_of(
        tmp_path
    )


def test_samples_are_named_also_before_they_are_transformed(make_loader, tmp_path):
    batches = []
    for place in ("worker", "device"):
        loader = make_loader(tmp_path)
        loader.dataset.transform_on = place
        batches.append(next(iter(loader)))
    assert sample_ids(batches[0]) == sample_ids(batches[1])
    assert sample_ids([]) == []
    written = [torch.load(write_batch(tmp_path, place, batch, {})) for place, batch in zip("wd", batches, strict=True)]
    assert [len(content["samples"]) for content in written] == [2, 2]


def test_only_the_first_batches_are_written(make_loader, tmp_path, monkeypatch):
    monkeypatch.setattr(bad_batches, "_MAX_FILES", 2)
    batch = next(iter(make_loader(tmp_path)))
    written = [write_batch(tmp_path, name, batch, {}) for name in "xyz"]
    assert [path and path.name for path in written] == ["x.pth", "y.pth", None]


def test_a_batch_that_cannot_be_written_is_named_all_the_same(make_training, tmp_path):
    (tmp_path / "bad_batches").write_text("a file where the folder should be")
    runner = make_training(tmp_path, faulty={5: "loss"})
    runner.train()
    assert runner.iter == 12
    assert "(not written: " in log_of(tmp_path)
