"""Workers that die or hang while they read."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from stal.data import clips
from stal.data.reading_board import ReadingBoard
from stal.engine.faults.explain import _memory_advice, explained
from stal.engine.faults.lost_workers import worker_error
from stal.errors import BadDataError, DeviceMemoryError, WorkerError


def hang_at(key: str, monkeypatch, hang: Callable[[], Any]) -> None:
    """Make workers hang, or die, when they read a video."""

    def read_frames(path: Path, indices: np.ndarray, **_: Any) -> np.ndarray:
        if path.stem == key:
            hang()
        return np.zeros((len(indices), 6, 8, 3), np.uint8)

    monkeypatch.setattr(clips, "read_frames", read_frames)


def stop_oneself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)  # only SIGKILL ends it now


@pytest.mark.parametrize("hang", [lambda: time.sleep(60), stop_oneself])
def test_a_worker_that_hangs_is_named_with_what_it_reads_and_not_waited_for(make_loader, tmp_path, monkeypatch, hang):
    hang_at("c", monkeypatch, hang)
    loader = make_loader(tmp_path, num_workers=2, timeout=2)
    start = time.monotonic()
    with pytest.raises(WorkerError, match=r"no batch for 2 s, .*worker \d \(process \d+\) has been reading c\.avi for"):
        list(loader)
    pids = {entry.pid for entry in loader.dataset.readings.entries()}
    assert not [child for child in multiprocessing.active_children() if child.pid in pids]
    del loader
    assert time.monotonic() - start < 20


def test_a_worker_that_dies_is_named_with_what_it_read(make_loader, tmp_path, monkeypatch):
    hang_at("e", monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(
        WorkerError,
        match=r"died \(.*killed by signal: Killed.*\): worker \d \(process \d+\) has been reading e\.avi .*num_workers",
    ):
        list(make_loader(tmp_path, num_workers=2, timeout=60))


def test_a_worker_that_dies_while_the_training_computes_is_named_too(make_training, tmp_path):
    class Kill(Hook):
        def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
            if runner.iter == 1:
                os.kill(runner.train_dataloader.dataset.readings.entries()[0].pid, signal.SIGKILL)
                time.sleep(60)  # which the signal interrupts

    runner = make_training(tmp_path, Kill(), num_workers=1)
    start = time.monotonic()
    with pytest.raises(WorkerError, match=r"killed by signal: Killed.*: worker 0 \(process \d+\) "), explained(runner):
        runner.train()
    assert time.monotonic() - start < 30


def test_other_errors_are_of_no_worker():
    board = ReadingBoard(["a.avi"])
    assert worker_error(RuntimeError("shapes do not fit"), board, 1.0) is None
    assert worker_error(BadDataError("DataLoader timed out"), board, 1.0) is None
    assert worker_error(RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed. "), board, 1.0) is None


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("no number"), KeyboardInterrupt()])
def test_other_errors_are_left_as_they_are(make_training, tmp_path, error):
    runner = make_training(tmp_path)
    with pytest.raises(type(error)) as caught, explained(runner):
        raise error
    assert caught.value is error


class OutOfMemory(Hook):
    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        if runner.iter == 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_a_gpu_without_memory_says_which_settings_to_lower_and_leaves_the_checkpoint(make_training, tmp_path):
    runner = make_training(tmp_path, OutOfMemory())
    (saving,) = (hook for hook in runner.hooks if hasattr(hook, "save_now"))
    saving.interval = 1
    runner.cfg = config_of()
    with (
        pytest.raises(DeviceMemoryError, match=r"training step: lower .*batch_size \(8; .*Tried to allocate 2\.00 GiB"),
        explained(runner),
    ):
        runner.train()
    torch.load(tmp_path / "epoch_1.pth", weights_only=True)


def config_of(**changes: Any) -> Config:
    dataset = {"num_frames_clip": 32, "transform": {"size": (224, 304)}}
    return Config(
        {
            "train_dataloader": {"batch_size": 8, "dataset": dataset},
            "test_dataloader": {"batch_size": 16},
            "optim_wrapper": {},
            "model": {"penalty": None},
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("stage", "changes", "says", "does_not_say"),
    [
        ("train", {}, ["batch_size (8;", "counts=2", "clip (32)", "((224, 304))", "--amp"], ["penalty"]),
        ("train", {"optim_wrapper": {"precision": "bfloat16", "accumulative_counts": 4}}, ["counts=8"], ["--amp"]),
        ("train", {"model": {"penalty": {"weight": 1.0}}}, ["model.penalty.subset='one_actor'"], []),
        ("val", {}, ["test_dataloader.batch_size (16)"], ["train_dataloader"]),
        ("test", {}, ["test_dataloader.batch_size (16)"], ["train_dataloader"]),
    ],
)
def test_the_advice_fits_what_is_run(stage, changes, says, does_not_say):
    hub = mock.Mock(get_info=lambda name, default: stage)
    advice = _memory_advice(mock.Mock(spec=Runner, cfg=config_of(**changes), message_hub=hub))
    assert all(text in advice for text in says), advice
    assert not any(text in advice for text in does_not_say), advice
