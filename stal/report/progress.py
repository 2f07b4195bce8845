"""How far the making of a report is: a bar on a terminal, a line for each part elsewhere."""

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_Item = TypeVar("_Item")


def track(items: Sequence[_Item], text: str) -> Iterator[_Item]:
    """Go through items and show how far that is.

    Args:
        items: what is gone through.
        text: what is being done.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"{text}: {len(items)}", file=sys.stderr, flush=True)
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        yield from progress.track(items, description=text)
