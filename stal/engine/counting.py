"""Show how far a loop is, with the time left."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console

from stal.engine.displays import Display, PlainDisplay, RichDisplay


@contextmanager
def counting(name: str, total: int) -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    """Show how far something is on the error stream: by a bar on a terminal, else by lines of text.

    >>> with counting("drawing", len(frames)) as counted:
    ...     for frame in counted(frames):
    ...         draw(frame)

    Args:
        name: what is being done.
        total: number of items.
    """
    console = Console(stderr=True)
    display: Display
    if console.is_terminal:
        display = RichDisplay(console, name, total)
    else:
        display = PlainDisplay(partial(print, file=sys.stderr, flush=True), name, total)

    def counted(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            yield item
            display.advance(name, {})

    try:
        yield counted
    finally:
        display.stop()
