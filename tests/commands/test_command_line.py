import argparse

import pytest

from stal.commands import command_line
from stal.errors import ConfigError


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = command_line.new_parser("Do it.", "python tools/do.py configs/a.py")
    command_line.add_config_flags(parser)
    return parser


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], None),
        (["--cfg-options", "a.b=1"], {"a.b": 1}),
        (["--cfg-options", "a=0.5", "b=x=y", "c=(1,2)"], {"a": 0.5, "b": "x=y", "c": (1, 2)}),
        (["--cfg-options", "a=[(1,2),(3,4)]", "--cfg-options", "b=None"], {"a": [(1, 2), (3, 4)], "b": None}),
    ],
)
def test_settings_are_read(parser, flags, expected):
    assert parser.parse_args(["config.py", *flags]).cfg_options == expected


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["a"], "argument --cfg-options: 'a' is not a setting: write KEY=VALUE"),
        (["a=1", "other.py"], "'other.py' is not a setting"),
        (["a=[1,(2]"], r"'a=[1,(2]': its brackets do not pair"),
        ([], "expected at least one argument"),
    ],
)
def test_what_is_no_setting_is_a_usage_error(parser, capsys, flags, message):
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(["config.py", "--cfg-options", *flags])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_the_help_ends_with_the_example(parser):
    assert parser.format_help().endswith("example:\n  python tools/do.py configs/a.py\n")


def fail(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("x is not y"), 1, "error: x is not y\n"),
        (ConfigError("in a worker:\nTraceback\nstal.errors.ConfigError: x is not y\n"), 1, "error: x is not y\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_of_stal_and_interrupts_end_a_tool_with_one_line(capsys, error, code, said):
    with pytest.raises(SystemExit) as stopped:
        command_line.run(lambda: fail(error))
    assert stopped.value.code == code
    assert capsys.readouterr().err == said


def test_a_tool_that_works_just_ends_and_other_errors_are_not_hidden():
    command_line.run(lambda: None)
    with pytest.raises(ZeroDivisionError):
        command_line.run(lambda: fail(ZeroDivisionError()))


@pytest.mark.parametrize(("rank", "is_first"), [(None, True), ("0", True), ("1", False), ("10", False)])
def test_the_first_of_several_processes_speaks_for_all(monkeypatch, rank, is_first):
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    assert command_line.is_first_process() is is_first
