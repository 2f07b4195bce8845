"""How long something has taken, and will take."""

import time
from collections.abc import Callable
from datetime import timedelta


class Pace:
    """The mean pace of iterations, with all that comes between them: validations, checkpoints.

    The first iteration does not count, since workers start and files are opened then.

    Args:
        total: number of iterations.
        done: how many of them were done before, by a training that is resumed.
        clock: gives seconds.

    Attributes:
        total: number of iterations.
        done: how many of them are done.
    """

    def __init__(self, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = done
        self._clock = clock
        self._start = clock()
        self._first: tuple[int, float] | None = None

    @property
    def elapsed_seconds(self) -> float:
        """Time since the start."""
        return self._clock() - self._start

    @property
    def remaining_seconds(self) -> float | None:
        """Time until the end; None as long as that cannot be told."""
        if self.done >= self.total:
            return 0.0
        if self._first is None or self.done == self._first[0]:
            return None
        done, then = self._first
        return (self._clock() - then) / (self.done - done) * (self.total - self.done)

    def advance(self) -> None:
        """Count an iteration."""
        self.done += 1
        self._first = self._first or (self.done, self._clock())

    def __str__(self) -> str:
        remaining = self.remaining_seconds
        left = "?" if remaining is None else _duration(remaining)
        return f"{_duration(self.elapsed_seconds)} gone, {left} left"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
