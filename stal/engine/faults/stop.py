"""Signals that end a training: it finishes its step and saves before it goes."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from stal.engine.faults.checkpoint_hook import SavingHook, on_step_boundary

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""What a scheduler ends a job with, what Slurm announces that with, and Ctrl-C."""


class StopRequest:
    """Handler of signals that notes the first of them; Ctrl-C once more interrupts at once.

    Attributes:
        signal_number: of the first signal; 0 for none yet.
    """

    def __init__(self) -> None:
        self.signal_number = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note a signal, or give in to the second Ctrl-C."""
        if self.signal_number and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.signal_number:
            self.signal_number = number
            # Not by `print`: it may have been interrupted itself, and cannot be entered twice.
            text = f"\n{signal.Signals(number).name}: finishing the step and saving; Ctrl-C stops at once\n"
            with suppress(OSError, ValueError):  # Ctrl-C ends the reader of a pipe too, but what is done must be saved
                os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())


class StopHook(Hook):
    """Save and exit when any process has been asked to: all at the same step, with exit code 128 + the signal's number.

    The step is one of the optimizer, or a batch of a validation, which the resumed training does anew. Behind the
    batches that each process of a validation has, some wait for others, and it is brought to its end first.

    Args:
        request: notes the signals.
    """

    priority = "LOWEST"

    def __init__(self, request: StopRequest) -> None:
        self.request = request
        self._num_common_batches = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Stop if that is asked for and no gradient waits for its step."""
        if on_step_boundary(runner):
            self._stop_if_asked(runner, f"after iteration {runner.iter + 1}")

    def before_val(self, runner: Runner) -> None:
        """Find out how many batches every process has."""
        num_batches = torch.tensor(len(runner.val_dataloader))
        all_reduce(num_batches, "min")
        self._num_common_batches = int(num_batches)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop if that is asked for."""
        if batch_idx < self._num_common_batches:
            self._stop_if_asked(runner, f"in the validation after epoch {runner.epoch}")

    def _stop_if_asked(self, runner: Runner, moment: str) -> None:
        """Save and exit if any process has a signal.

        Raises:
            SystemExit: it has.
        """
        asked = torch.tensor(self.request.signal_number)
        all_reduce(asked, "max")
        number = int(asked)
        if number == 0:
            return
        stopped = f"stopped by {signal.Signals(number).name} {moment}"
        saving = next((hook for hook in runner.hooks if isinstance(hook, SavingHook)), None)
        if saving is None:
            runner.logger.warning(f"{stopped}; nothing is saved, as default_hooks.checkpoint is no SavingHook")
        else:
            runner.logger.warning(f"{stopped}; saved {saving.save_now(runner)}, from which --resume goes on")
        raise SystemExit(128 + number)


def train_until_stopped(runner: Runner) -> None:
    """Train, and take SIGTERM, SIGUSR1 and Ctrl-C for requests to save and exit.

    Signals that are ignored stay so, as those of processes that another one ends. Handlers can be set in the main
    thread alone; in others the signals do what they did.

    Raises:
        SystemExit: a signal came; its code is 128 + the signal's number.
        KeyboardInterrupt: Ctrl-C came while another signal was dealt with.
    """
    request = StopRequest()
    runner.register_hook(StopHook(request))
    with _handled_by(request):
        runner.train()


@contextmanager
def _handled_by(request: StopRequest) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, request) for number in taken}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)
