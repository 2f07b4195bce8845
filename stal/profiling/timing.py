"""Times of steps that take turns, so that what else the machine does meets them all alike."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """What a step took.

    Attributes:
        seconds: of the fastest of its repeats.
        parts: seconds of the parts of that repeat that timed themselves, by name.
        peak_bytes: the most memory that torch had allocated on the GPU; None on a CPU.
    """

    seconds: float
    parts: dict[str, float]
    peak_bytes: int | None


class PartTimer:
    """Adds up the seconds of named parts of a step; on a GPU each part is waited for.

    Attributes:
        seconds: of each part so far.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the block as (more of) the part `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            synchronize(self.device)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    """Wait for all that a GPU was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def take_turns(
    steps: Mapping[str, Callable[[PartTimer], None]],
    device: torch.device,
    repeats: int,
    *,
    after_turn: Callable[[], None] = lambda: None,
) -> dict[str, Timing]:
    """Return what every step takes: one turn that is not counted, then as many as `repeats`.

    Args:
        steps: the steps by name; each is given a timer for its parts.
        device: that they compute on.
        repeats: counted turns.
        after_turn: called after each step of each turn, as for a progress bar.
    """
    best: dict[str, Timing] = {}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            timer = PartTimer(device)
            synchronize(device)
            start = time.perf_counter()
            step(timer)
            synchronize(device)
            seconds = time.perf_counter() - start
            peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
            if turn > 0 and (name not in best or seconds < best[name].seconds):
                best[name] = Timing(seconds, timer.seconds, peak)
            after_turn()
    return best
