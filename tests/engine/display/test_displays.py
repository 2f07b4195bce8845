"""Bars and lines that say how far something is."""

import io
import os
import re
import sys
from contextlib import suppress

import pytest
from rich.console import Console

from stal.engine.display.displays import PlainDisplay, RichDisplay, open_display

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


class Clock:
    """A clock that is set by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_lines_come_every_ten_seconds_and_at_the_end(clock):
    lines: list[str] = []
    display = PlainDisplay(lines.append, "train", 30, clock=clock)
    for _ in range(30):
        clock.seconds += 1
        display.advance("train, epoch 1/1", {"loss": "0.5", "lr": "1e-3"})
    display.stop()
    assert lines == [
        "train, epoch 1/1  10/30 (33%)  0:00:10 gone, 0:00:20 left  loss 0.5  lr 1e-3",
        "train, epoch 1/1  20/30 (67%)  0:00:20 gone, 0:00:10 left  loss 0.5  lr 1e-3",
        "train, epoch 1/1  30/30 (100%)  0:00:30 gone, 0:00:00 left  loss 0.5  lr 1e-3",
    ]


def test_a_resumed_training_goes_on_counting(clock):
    lines: list[str] = []
    display = PlainDisplay(lines.append, "train", 4, done=3, clock=clock)
    display.advance("train", {})
    assert lines == ["train  4/4 (100%)  0:00:00 gone, 0:00:00 left"]


def test_a_part_has_lines_and_a_result_of_its_own(clock):
    lines: list[str] = []
    display = PlainDisplay(lines.append, "train", 2, clock=clock)
    display.advance("train", {})
    display.start_part("validate", 3)
    for _ in range(3):
        clock.seconds += 6
        display.advance_part()
    display.end_part("validated  mAP 12")
    clock.seconds += 2
    display.advance("train", {})
    assert lines == [
        "validate  2/3 (67%)  0:00:12 gone, 0:00:06 left",
        "validated  mAP 12",
        "train  2/2 (100%)  0:00:20 gone, 0:00:00 left",
    ]


def rich_output() -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, _environ={})
    display = RichDisplay(console, "train", 4, done=1)
    display.advance("train, epoch 2/4", {"loss": "0.25", "lr": "1e-3"})
    display._live.refresh()
    display.start_part("validate", 7)
    display.advance_part()
    display._live.refresh()
    display.end_part("validated  [mAP] 12")
    display._live.refresh()
    display.stop()
    display.stop()
    return console.file.getvalue()


def test_bars_show_iterations_times_and_numbers():
    output = rich_output()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output)
    assert re.search(r"train, epoch 2/4 .* 2/4 0:00:00 gone, \? left", text)
    assert "loss 0.25  lr 1e-3" in text
    assert re.search(r"validate .* 1/7 0:00:00 gone, \? left", text)
    assert "validated  [mAP] 12" in text
    last_frame = text[text.rindex("validated") :]
    assert "train, epoch 2/4" in last_frame
    assert "1/7" not in last_frame  # the part's bar is gone


def test_the_cursor_comes_back():
    output = rich_output()
    assert HIDE_CURSOR in output
    assert output.rindex(SHOW_CURSOR) > output.rindex(HIDE_CURSOR)


@pytest.mark.parametrize("kind", ["plain", "rich"])
def test_what_nobody_reads_any_more_is_no_error(kind, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        display = open_display(kind, "train", 2)
        os.close(reading)
        display.advance("train", {})
        display.start_part("validate", 1)
        display.advance_part()
        display.end_part("validated")
        display.advance("train", {})
        display.stop()
        assert sys.stderr is stream
    with suppress(BrokenPipeError):  # of what is left in its buffer
        stream.close()
