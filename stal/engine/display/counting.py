"""Show how far a loop is, with the time left."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from stal.engine.display.displays import open_display

_Item = TypeVar("_Item")


@contextmanager
def counting(name: str, total: int, *, is_shown: bool = True) -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    """Show how far something is on the error stream: by a bar on a terminal, else by lines of text.

    >>> with counting("drawing", len(frames)) as counted:
    ...     for frame in counted(frames):
    ...         draw(frame)

    Args:
        name: what is being done.
        total: number of items.
        is_shown: False to show nothing.
    """
    if not is_shown:
        yield iter
        return
    display = open_display("auto", name, total)

    def counted(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            yield item
            display.advance(name, {})

    try:
        yield counted
    finally:
        display.stop()


def track(items: Sequence[_Item], name: str) -> Iterator[_Item]:
    """Go through all items, and show how far that is, as `counting` does."""
    with counting(name, len(items)) as counted:
        yield from counted(items)
