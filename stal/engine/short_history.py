"""Logged numbers whose history does not grow with the training."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class ShortHistoryHook(Hook):
    """Keep only as many values of the logged numbers as the log looks back on.

    mmengine keeps a million, copies all of them whenever one is added, and writes them into every checkpoint: after
    100,000 iterations that costs 0.8 ms a number and iteration. Means over `window_size` values stay what they are.
    Where the `log_processor` asks for means over an epoch or over everything, nothing is thrown away.
    """

    def before_train(self, runner: Runner) -> None:
        """Find out how far the log looks back; at a validation, over all of it."""
        processor = runner.log_processor
        windows = [processor.window_size, *(custom.get("window_size", 1) for custom in processor.custom_cfg)]
        self._num_kept: dict[str, int] = {}
        if not any(isinstance(window, str) for window in windows):
            num_validated = 0 if runner.val_loop is None else len(runner.val_dataloader)
            self._num_kept = {"train": max(windows), "val": max(*windows, num_validated)}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Bound the histories, of which some may be new."""
        for name, history in runner.message_hub.log_scalars.items():
            history.max_length = self._num_kept.get(name.partition("/")[0], history.max_length)
