"""Displays of how far something is: bars on a terminal, lines of text anywhere."""

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal, Protocol, runtime_checkable

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from stal.engine.display.pace import Pace

ProgressKind = Literal["auto", "rich", "plain"]
"""`rich` is bars, `plain` is lines of text; `auto` is bars if the error stream is a terminal, and else lines."""

_LINE_SECONDS = 10.0  # from one line of text to the next


@runtime_checkable
class Display(Protocol):
    """Shows how far something is, from when it is made until `stop`."""

    def advance(self, name: str, numbers: Mapping[str, str]) -> None:
        """Count an iteration, and show what is being done, with numbers."""

    def start_part(self, name: str, total: int) -> None:
        """Begin something that comes between two iterations: a validation of `total` batches."""

    def advance_part(self) -> None:
        """Count a batch of the part."""

    def end_part(self, text: str) -> None:
        """End the part, and say what came of it."""

    def stop(self) -> None:
        """Take down what moves; to do so twice does no harm."""


class PaceColumn(ProgressColumn):
    """The times of a bar, whose field `pace` is a `Pace`."""

    def render(self, task: Task) -> Text:
        """Return the times of this moment."""
        return Text(str(task.fields["pace"]))


class RichDisplay:
    """A bar over all iterations with the time left, below it the numbers, and another bar for a part.

    Args:
        console: a terminal.
        name: what is being done.
        total: number of iterations.
        done: how many were done before.
    """

    def __init__(self, console: Console, name: str, total: int, done: int = 0) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), PaceColumn()
        self._bars = Progress(*columns, console=console)
        self._whole = self._bars.add_task(name, total=total, completed=done, pace=Pace(total, done))
        self._part: TaskID | None = None
        self._numbers = Text()
        self._live = Live(console=console, get_renderable=lambda: Group(self._bars.get_renderable(), self._numbers))
        self._live.start()

    def advance(self, name: str, numbers: Mapping[str, str]) -> None:
        """Move the bar, and show the numbers below it."""
        self._bars.update(self._whole, description=name)
        self._numbers = Text("  ".join(f"{key} {value}" for key, value in numbers.items()), style="dim")
        self._move(self._whole)

    def start_part(self, name: str, total: int) -> None:
        """Show the part's bar."""
        self._part = self._bars.add_task(name, total=total, pace=Pace(total))

    def advance_part(self) -> None:
        """Move the part's bar."""
        if self._part is not None:
            self._move(self._part)

    def end_part(self, text: str) -> None:
        """Take the part's bar down, and leave a line above the bars."""
        if self._part is not None:
            self._bars.remove_task(self._part)
            self._part = None
            self._live.refresh()
        self._live.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        """Leave the bars as they are, and give the cursor back."""
        self._live.stop()

    def _move(self, bar: TaskID) -> None:
        (task,) = (task for task in self._bars.tasks if task.id == bar)
        task.fields["pace"].advance()
        self._bars.advance(bar)


class PlainDisplay:
    """A line of text every ten seconds and at the end, for files and for terminals that cannot move the cursor.

    Args:
        write: takes a line.
        name: what is being done.
        total: number of iterations.
        done: how many were done before.
        clock: gives seconds.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        name: str,
        total: int,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._clock = clock
        self._last_line = clock()
        self._whole = Pace(total, done, clock)
        self._part: tuple[str, Pace] | None = None

    def advance(self, name: str, numbers: Mapping[str, str]) -> None:
        """Write a line with the numbers if it is time."""
        self._count(name, self._whole, numbers)

    def start_part(self, name: str, total: int) -> None:
        """Begin to count the part."""
        self._part = name, Pace(total, clock=self._clock)

    def advance_part(self) -> None:
        """Write a line of the part if it is time."""
        if self._part is not None:
            self._count(*self._part, {})

    def end_part(self, text: str) -> None:
        """Write what came of the part."""
        self._part = None
        self._write(text)

    def stop(self) -> None:
        """Do nothing: no line waits to be written."""

    def _count(self, name: str, pace: Pace, numbers: Mapping[str, str]) -> None:
        pace.advance()
        is_last = pace is self._whole and pace.done == pace.total
        if is_last or self._clock() - self._last_line >= _LINE_SECONDS:
            self._last_line = self._clock()
            counted = f"{pace.done}/{pace.total} ({pace.done / pace.total:.0%})"
            self._write("  ".join([name, counted, str(pace), *(f"{key} {value}" for key, value in numbers.items())]))


class _PatientConsole(Console):
    """A console that goes silent when nobody reads it any more; rich's own exits."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def _write_line(line: str) -> None:
    """Write a line to the error stream, if anybody reads it: what is displayed goes on without."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def open_display(kind: ProgressKind, name: str, total: int, done: int = 0) -> Display:
    """Return a display on the error stream; its arguments are those of `RichDisplay`."""
    console = _PatientConsole(stderr=True, force_terminal=True if kind == "rich" else None)
    if kind == "rich" or (kind == "auto" and sys.stderr.isatty() and not console.is_dumb_terminal):
        return RichDisplay(console, name, total, done)
    return PlainDisplay(_write_line, name, total, done)
