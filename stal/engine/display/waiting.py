"""How much of a training's time is spent waiting for clips."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class WaitingHook(Hook):
    """Log `data_share`: the part of the last iterations' time in which there was no batch to train on.

    It is over as many iterations as the log looks back on. Near 0 the network is what takes time; a large share asks
    for more workers (`train_dataloader.num_workers`), or for videos that are read faster.
    """

    priority = "NORMAL"  # after mmengine's timer, which comes first among equals, and before the log

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Note the share."""
        scalars, window = runner.message_hub.log_scalars, runner.log_processor.window_size
        waited, taken = (scalars[f"train/{name}"].mean(window) for name in ("data_time", "time"))
        runner.message_hub.update_scalar("train/data_share", waited / taken)
