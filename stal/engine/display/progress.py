"""How far a training or a test is, with the time left: bars on a terminal, lines of text elsewhere."""

import atexit
import logging
from typing import Any, get_args

from mmengine.hooks import Hook
from mmengine.runner import Runner

from stal.engine.display.displays import Display, ProgressKind, open_display
from stal.errors import ConfigError


class ProgressHook(Hook):
    """Show how far training, validation or test is, how long it has taken and will take, on the error stream.

    `progress` of the runner's config says how, see `ProgressKind`. Meanwhile the log's lines go to its file
    alone; its warnings are printed too. Only the first process shows anything.
    """

    priority = "LOWEST"

    def __init__(self) -> None:
        self._display: Display | None = None
        self._muted: list[tuple[logging.Handler, int]] = []

    def before_train(self, runner: Runner) -> None:
        """Start to show the whole training."""
        self._start(runner, _epoch(runner), runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count the iteration, and show its numbers."""
        if self._display is not None:
            self._display.advance(_epoch(runner), _numbers(runner))

    def after_train(self, runner: Runner) -> None:
        """End."""
        self._stop()

    def before_val(self, runner: Runner) -> None:
        """Start to show the validation."""
        if self._display is not None:
            self._display.start_part("validate", len(runner.val_dataloader))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count the batch."""
        if self._display is not None:
            self._display.advance_part()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Show the metrics."""
        if self._display is not None:
            found = "  ".join(f"{name} {value:.4g}" for name, value in (metrics or {}).items())
            self._display.end_part(f"validated after epoch {runner.epoch}/{runner.max_epochs}  {found}")

    def before_test(self, runner: Runner) -> None:
        """Start to show the test."""
        self._start(runner, "test", len(runner.test_dataloader), 0)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count the batch."""
        if self._display is not None:
            self._display.advance("test", {})

    def after_test(self, runner: Runner) -> None:
        """End."""
        self._stop()

    def _start(self, runner: Runner, name: str, total: int, done: int) -> None:
        kind = runner.cfg.get("progress", "auto")
        if kind not in get_args(ProgressKind):
            raise ConfigError(f"progress = {kind!r} is none of {', '.join(get_args(ProgressKind))}")
        if runner.rank != 0:
            return
        for handler in runner.logger.handlers:  # lines would tear the bars; the log file still gets them
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                self._muted.append((handler, handler.level))
                handler.setLevel(max(handler.level, logging.WARNING))
        self._display = open_display(kind, name, total, done)
        atexit.register(self._stop)  # an error would leave the terminal without a cursor

    def _stop(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None
        while self._muted:
            handler, level = self._muted.pop()
            handler.setLevel(level)


def _epoch(runner: Runner) -> str:
    return f"train, epoch {runner.epoch + 1}/{runner.max_epochs}"


def _numbers(runner: Runner) -> dict[str, str]:
    """Return what the log says of the last iterations, losses first: means of losses and times, else the last."""
    processor = runner.log_processor
    numbers = {}
    for name, history in runner.message_hub.log_scalars.items():
        stage, _, name = name.partition("/")
        if stage == "train" and name != "data_time":
            is_mean = processor.mean_pattern.match(name)
            value = history.mean(processor.window_size) if is_mean else history.current()
            numbers[name] = f"{value:.1e}" if name.endswith("lr") else f"{value:.4g}"
    return dict(sorted(numbers.items(), key=lambda number: not number[0].startswith("loss")))
