"""A training that is asked to stop, and what goes on from it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from stal.engine.faults import stop
from stal.engine.faults.checkpoint import read_checkpoint
from stal.engine.faults.checkpoint_hook import SavingHook
from stal.engine.faults.stop import SIGNALS, StopHook, StopRequest, train_until_stopped


class Signal(Hook):
    """Send this process signals while it is in a batch."""

    def __init__(self, *numbers: int, iteration: int = -1, val_batch: int = -1) -> None:
        self.numbers = numbers
        self.iteration = iteration
        self.val_batch = val_batch

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        if runner.iter == self.iteration:
            self._send()

    def before_val_iter(self, runner: Runner, batch_idx: int, *_: Any, **__: Any) -> None:
        if batch_idx == self.val_batch:
            self._send()

    def _send(self) -> None:
        for number in self.numbers:
            signal.raise_signal(number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Check that the handlers are those from before."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


def stopped_at(work_dir: Path) -> tuple[int, int]:
    """Return how many epochs and iterations the last checkpoint of a training has."""
    meta = read_checkpoint(work_dir)["meta"]
    return meta["epoch"], meta["iter"]


def assert_same_end(work_dir: Path, through: Runner, resumed: Runner) -> None:
    for name, value in through.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert through.optim_wrapper.state_dict()["state"].keys() == resumed.optim_wrapper.state_dict()["state"].keys()
    scores = [runner.message_hub.get_scalar("val/score").data[0].tolist() for runner in (through, resumed)]
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("number", "exit_code", "iteration"),
    [(signal.SIGTERM, 143, 0), (signal.SIGUSR1, 138, 3), (signal.SIGINT, 130, 5), (signal.SIGTERM, 143, 11)],
)
def test_a_signal_ends_the_training_after_its_step_and_nothing_is_lost(
    make_training, tmp_path, number, exit_code, iteration
):
    stopped = make_training(tmp_path / "cut", Signal(number, iteration=iteration), validate=True)
    with pytest.raises(SystemExit) as caught:
        train_until_stopped(stopped)
    assert caught.value.code == exit_code
    assert stopped_at(tmp_path / "cut") == (iteration // 4, iteration + 1)
    resumed = make_training(tmp_path / "cut", validate=True, resume=True)
    through = make_training(tmp_path / "through", validate=True)
    for runner in (resumed, through):
        train_until_stopped(runner)
    assert_same_end(tmp_path, through, resumed)


def test_a_step_that_is_accumulated_is_finished_first(make_training, tmp_path):
    runner = make_training(tmp_path, Signal(signal.SIGTERM, iteration=3), accumulative_counts=3, num_epochs=2)
    with pytest.raises(SystemExit):  # the fourth batch ends the epoch, and so the step
        train_until_stopped(runner)
    assert stopped_at(tmp_path) == (0, 4)
    runner = make_training(tmp_path / "2", Signal(signal.SIGTERM, iteration=4), accumulative_counts=3, num_epochs=2)
    with pytest.raises(SystemExit):
        train_until_stopped(runner)
    assert stopped_at(tmp_path / "2") == (1, 7)


@pytest.mark.parametrize("val_batch", [0, 1, 7])
def test_a_validation_that_is_cut_off_is_done_anew(make_training, tmp_path, val_batch):
    stopped = make_training(tmp_path / "cut", Signal(signal.SIGUSR1, val_batch=val_batch), validate=True)
    validated = []
    stopped.register_hook(mock.Mock(spec=Hook, priority="LOW", after_val_iter=lambda *a, **k: validated.append(a)))
    with pytest.raises(SystemExit) as caught:
        train_until_stopped(stopped)
    assert caught.value.code == 138
    assert len(validated) == val_batch + 1
    assert stopped_at(tmp_path / "cut") == (1, 4)
    resumed = make_training(tmp_path / "cut", validate=True, resume=True)
    through = make_training(tmp_path / "through", validate=True)
    for runner in (resumed, through):
        train_until_stopped(runner)
    assert_same_end(tmp_path, through, resumed)


@pytest.mark.parametrize("first", SIGNALS)
def test_another_ctrl_c_stops_at_once(make_training, tmp_path, first):
    runner = make_training(tmp_path, Signal(first, signal.SIGINT, iteration=2))
    with pytest.raises(KeyboardInterrupt):
        train_until_stopped(runner)
    assert not (tmp_path / "last_checkpoint").exists()


def test_a_scheduler_may_ask_again(make_training, tmp_path, capfd):
    runner = make_training(tmp_path, Signal(signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM, iteration=2))
    with pytest.raises(SystemExit) as caught:
        train_until_stopped(runner)
    assert caught.value.code == 138
    assert capfd.readouterr().err.count("finishing the step") == 1


@pytest.mark.parametrize("is_closed", [False, True], ids=["nobody reads", "closed"])
def test_a_request_counts_though_nobody_can_be_told(monkeypatch, is_closed):
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    if is_closed:
        stream.close()
    monkeypatch.setattr(sys, "__stderr__", stream)
    request = StopRequest()
    request(signal.SIGINT, None)
    assert request.signal_number == signal.SIGINT
    stream.close()


def test_a_signal_that_is_ignored_stays_so(make_training, tmp_path):
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        runner = make_training(tmp_path, Signal(signal.SIGINT, iteration=2), num_epochs=1)
        train_until_stopped(runner)
        assert runner.iter == 4
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_training_of_another_thread_has_no_handlers(make_training, tmp_path):
    runner = make_training(tmp_path, num_epochs=1)
    thread = threading.Thread(target=train_until_stopped, args=(runner,))
    thread.start()
    thread.join()
    assert runner.iter == 4


def test_without_a_way_to_save_the_training_stops_all_the_same(make_training, tmp_path):
    runner = make_training(tmp_path, Signal(signal.SIGTERM, iteration=2))
    runner._hooks = [hook for hook in runner.hooks if not isinstance(hook, SavingHook)]
    with pytest.raises(SystemExit):
        train_until_stopped(runner)
    (log,) = tmp_path.glob("*/*.log")
    assert "stopped by SIGTERM after iteration 3; nothing is saved" in log.read_text()


def test_a_signal_to_another_process_stops_this_one_at_the_same_step(make_training, tmp_path, monkeypatch):
    runner = make_training(tmp_path)
    asked = iter([0, 0, signal.SIGUSR1])
    monkeypatch.setattr(stop, "all_reduce", lambda flag, op: flag.fill_(max(int(flag), next(asked))))
    with pytest.raises(SystemExit) as caught:
        train_until_stopped(runner)
    assert caught.value.code == 138 and stopped_at(tmp_path) == (0, 3)


def test_batches_that_only_some_processes_have_are_not_agreed_on(monkeypatch):
    request = StopRequest()
    request.signal_number = signal.SIGTERM
    hook = StopHook(request)
    runner = mock.Mock(spec=Runner, val_dataloader=[None] * 5, hooks=[], epoch=1, logger=mock.Mock())
    monkeypatch.setattr(stop, "all_reduce", lambda value, op: value.fill_(3) if op == "min" else None)
    hook.before_val(runner)
    for batch_idx in (3, 4):
        hook.after_val_iter(runner, batch_idx)
    with pytest.raises(SystemExit):
        hook.after_val_iter(runner, 2)


def test_loader_workers_live_until_the_step_is_finished(make_training, tmp_path):
    """Signals to all of a job's processes, such as those of a terminal, must not cost it its workers."""

    class SignalAll(Signal):
        def _send(self) -> None:
            pids = [entry.pid for entry in runner.train_dataloader.dataset.readings.entries()]
            assert len(pids) == 2 and all(os.getpgid(pid) == pid for pid in pids)
            for number in (signal.SIGUSR1, signal.SIGINT):
                for pid in pids:
                    os.kill(pid, number)
            signal.raise_signal(signal.SIGUSR1)

    runner = make_training(tmp_path, SignalAll(iteration=2), num_workers=2)
    with pytest.raises(SystemExit) as caught:
        train_until_stopped(runner)
    assert caught.value.code == 138 and stopped_at(tmp_path) == (0, 3)
