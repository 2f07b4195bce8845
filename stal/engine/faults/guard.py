"""What becomes of a batch whose loss or gradient is not finite."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import EMAHook, Hook, ParamSchedulerHook, RuntimeInfoHook
from mmengine.runner import Runner

from stal.data.transforms import PendingClip
from stal.engine.faults.bad_batches import sample_ids, write_batch
from stal.engine.faults.checkpoint_hook import on_step_boundary
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.errors import ConfigError, TrainingError
from stal.structures import Clip

Batch = Sequence[Clip | PendingClip]

_NUM_FAULTS, _NUM_IN_A_ROW = "num_faulty_batches", "num_faulty_batches_in_a_row"  # in the hub, and so in checkpoints
_FOLLOWING_WEIGHTS = (EMAHook, ParamSchedulerHook, RuntimeInfoHook)  # average them, pace them, log what they gave


def end_step(runner: Runner, batch_idx: int, data_batch: Any, outputs: dict[str, Any]) -> None:
    """Tell the hooks that a batch is done; of one that was skipped, those that follow the weights hear nothing.

    Args:
        runner: of the training.
        batch_idx: number of the batch in its epoch.
        data_batch: the clips.
        outputs: what is to be logged.
    """
    is_skipped = getattr(runner.optim_wrapper, "is_skipped", False)  # other wrappers skip none
    for hook in runner.hooks:
        if not (is_skipped and isinstance(hook, _FOLLOWING_WEIGHTS)):
            hook.after_train_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs)


class GuardHook(Hook):
    """Write down each batch that `GuardedOptimWrapper` found not finite, and stop when there are too many in a row.

    The first ten batches are kept as files in `bad_batches` of the work directory. Where no loss says whose fault a
    gradient was, as processes share it, each writes its own.

    Counted are the batches that were not finite themselves, since the last step that changed the weights. A finite
    batch ends no row as long as its gradients wait for others, which may still drop the step.

    Args:
        max_in_a_row: such batches that may come without a step in between; one more ends the training.

    Raises:
        ConfigError: the number is negative.
    """

    priority = "HIGH"

    def __init__(self, max_in_a_row: int = 10) -> None:
        if max_in_a_row < 0:
            raise ConfigError(f"GuardHook: max_in_a_row = {max_in_a_row} must be at least 0")
        self.max_in_a_row = max_in_a_row

    def before_train(self, runner: Runner) -> None:
        """Warn if nothing is guarded."""
        if not isinstance(runner.optim_wrapper, GuardedOptimWrapper):
            runner.logger.warning(
                f"optim_wrapper is a {type(runner.optim_wrapper).__name__}: losses and gradients that are not finite "
                f"will change the weights; use dict(type={GuardedOptimWrapper.__name__}, ...)"
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Deal with the batch if it was faulty.

        Raises:
            TrainingError: too many were, one after the other; in all processes.
        """
        wrapper, counts = runner.optim_wrapper, runner.message_hub.runtime_info
        if not isinstance(wrapper, GuardedOptimWrapper):
            return
        if wrapper.fault is None:
            if not wrapper.is_skipped and on_step_boundary(runner):
                runner.message_hub.update_info(_NUM_IN_A_ROW, 0)
            return
        num_in_a_row = counts.get(_NUM_IN_A_ROW, 0) + 1
        runner.message_hub.update_info(_NUM_IN_A_ROW, num_in_a_row)
        runner.message_hub.update_info(_NUM_FAULTS, counts.get(_NUM_FAULTS, 0) + 1)
        own = _write_down(runner, wrapper.fault, data_batch, outputs or {}) if wrapper.is_own_fault else None
        samples = "; ".join(text for text in all_gather_object(own) if text)
        what = f"iteration {runner.iter + 1}: the {wrapper.fault} is not finite; samples: {samples}"
        if num_in_a_row > self.max_in_a_row:
            raise TrainingError(
                f"{num_in_a_row} batches in a row gave losses or gradients that are not finite, and "
                f"GuardHook.max_in_a_row = {self.max_in_a_row}. The last, {what}. If the samples are sound, training "
                "diverges: lower the learning rate, warm it up for longer, clip gradients (optim_wrapper.clip_grad), "
                "or lower the weight of the penalty; the checkpoints are from before"
            )
        runner.logger.warning(f"{what}; it is skipped")

    def after_train(self, runner: Runner) -> None:
        """Say how many batches were skipped, if there are any."""
        num_faults = runner.message_hub.runtime_info.get(_NUM_FAULTS, 0)
        if num_faults and runner.rank == 0:
            runner.logger.warning(f"{num_faults} batches were skipped, as their loss or gradient was not finite")


def _write_down(runner: Runner, fault: str, batch: Batch, losses: Mapping[str, Any]) -> str:
    """Write a batch to a file, and return what is in it and where it is."""
    iteration, rank = runner.iter + 1, runner.rank
    values = {name: torch.as_tensor(value).item() for name, value in losses.items()}
    about = {"fault": fault, "iteration": iteration, "rank": rank, "seed": runner.seed, "losses": values}
    samples = ", ".join(sample_ids(batch))
    try:
        path = write_batch(Path(runner.work_dir), f"iteration_{iteration:06d}_rank_{rank}", batch, about)
    except ConfigError as error:  # no reason to stop, as the samples are named
        return f"{samples} (not written: {error})"
    return f"{samples} (in {path})" if path else samples
