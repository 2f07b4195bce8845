"""What is shown while a runner trains, validates and tests."""

import logging
import re
import sys
from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import LogProcessor, Runner

from stal.engine.display.displays import PlainDisplay, RichDisplay, open_display
from stal.engine.display.progress import ProgressHook
from stal.errors import ConfigError


@pytest.fixture
def runner(tmp_path) -> mock.Mock:
    """A runner in its second of three epochs, whose log has a file."""
    hub = MessageHub(str(tmp_path))
    for name, values in {
        "lr": [0.1, 0.01],
        "data_time": [1, 1],
        "loss": [1, 2],
        "time": [3, 5],
        "energy": [7, 8],
    }.items():
        for value in values:
            hub.update_scalar(f"train/{name}", value)
    hub.update_scalar("val/mAP", 12.0)
    logger = logging.Logger("training")
    logger.addHandler(logging.FileHandler(tmp_path / "training.log"))
    return mock.Mock(
        spec=Runner,
        cfg=Config({}),
        rank=0,
        logger=logger,
        message_hub=hub,
        log_processor=LogProcessor(window_size=20),
        epoch=1,
        max_epochs=3,
        iter=2,
        max_iters=3,
        val_dataloader=[None] * 2,
        test_dataloader=[None] * 2,
    )


def shown(hook: ProgressHook, runner: mock.Mock, capsys: pytest.CaptureFixture) -> list[str]:
    """Return the lines of an iteration and a validation."""
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.before_val(runner)
    hook.after_val_iter(runner, 0)
    hook.after_val_epoch(runner, {"mAP": 12.345678})
    hook.after_train(runner)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_lines_name_epoch_iteration_time_and_the_numbers_of_the_log(runner, capsys):
    training, validation = shown(ProgressHook(), runner, capsys)
    assert re.sub(r"\d:\d\d:\d\d", "TIME", training) == (
        "train, epoch 2/3  3/3 (100%)  TIME gone, TIME left  loss 1.5  lr 1.0e-02  time 4  energy 8"
    )
    assert validation == "validated after epoch 1/3  mAP 12.35"


def test_a_test_is_counted_in_batches(runner, capsys):
    hook = ProgressHook()
    hook.before_test(runner)
    for batch in range(2):
        hook.after_test_iter(runner, batch)
    hook.after_test(runner)
    assert re.sub(r"\d:\d\d:\d\d", "TIME", capsys.readouterr().err) == "test  2/2 (100%)  TIME gone, TIME left\n"


def test_other_processes_show_nothing(runner, capsys):
    runner.rank = 1
    assert shown(ProgressHook(), runner, capsys) == []


def test_log_lines_go_to_the_file_alone_while_it_is_shown(runner, capsys, tmp_path):
    runner.logger.addHandler(logging.StreamHandler(sys.stdout))
    hook = ProgressHook()
    hook.before_train(runner)
    runner.logger.info("a line")
    runner.logger.warning("a warning")
    hook.after_train(runner)
    runner.logger.info("a later line")
    assert capsys.readouterr().out.splitlines() == ["a warning", "a later line"]
    assert Path(tmp_path / "training.log").read_text().splitlines() == ["a line", "a warning", "a later line"]


@pytest.mark.parametrize(
    ("kind", "is_terminal", "terminal", "expected"),
    [
        ("auto", True, "xterm", RichDisplay),
        ("auto", True, "dumb", PlainDisplay),
        ("auto", False, "xterm", PlainDisplay),
        ("plain", True, "xterm", PlainDisplay),
        ("rich", False, "xterm", RichDisplay),
    ],
)
def test_the_error_stream_decides_unless_the_config_does(monkeypatch, kind, is_terminal, terminal, expected):
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as some services of continuous integration set it, which are no terminals
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    display = open_display(kind, "train", 3, 0)
    display.stop()
    assert type(display) is expected


def test_an_unknown_kind_is_refused(runner):
    runner.cfg = Config({"progress": "fancy"})
    with pytest.raises(ConfigError, match="progress = 'fancy' is none of auto, rich, plain"):
        ProgressHook().before_train(runner)
