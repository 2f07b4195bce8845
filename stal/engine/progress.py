"""A progress bar with the time left, on a terminal; elsewhere the log's lines must do."""

import atexit
import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class ProgressHook(Hook):
    """Show how far training or testing has come, how long it has taken and will take."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def before_train(self, runner: Runner) -> None:
        """Start the bar of the whole training."""
        self._start(runner, "train", runner.max_iters, completed=runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Move the bar, and show the loss."""
        loss = f", loss {outputs['loss'].item():.3f}" if outputs and "loss" in outputs else ""
        self._advance(f"train, epoch {runner.epoch + 1}/{runner.max_epochs}{loss}")

    def after_train(self, runner: Runner) -> None:
        """Take the bar down."""
        self._stop()

    def before_test(self, runner: Runner) -> None:
        """Start the bar of the test."""
        self._start(runner, "test", len(runner.test_dataloader), completed=0)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Move the bar."""
        self._advance("test")

    def after_test(self, runner: Runner) -> None:
        """Take the bar down."""
        self._stop()

    def _start(self, runner: Runner, text: str, total: int, completed: int) -> None:
        console = Console(stderr=True)
        if runner.rank != 0 or not console.is_terminal:
            return
        for handler in runner.logger.handlers:  # lines would tear the bar; the log file still gets them
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        self._progress.add_task(text, total=total, completed=completed)
        self._progress.start()
        atexit.register(self._stop)  # an error would leave the terminal without a cursor

    def _advance(self, text: str) -> None:
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], advance=1, description=text)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
