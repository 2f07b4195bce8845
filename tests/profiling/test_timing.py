import pytest
import torch

from stal.profiling import timing
from stal.profiling.timing import PartTimer, take_turns

CPU = torch.device("cpu")


class Clock:
    """Goes on only when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_steps_take_turns_and_each_is_told_of():
    called = []
    steps = {name: (lambda timer, name=name: called.append(name)) for name in ("a", "b")}
    turns = []
    found = take_turns(steps, CPU, 2, after_turn=lambda: turns.append(len(called)))
    assert called == ["a", "b"] * 3
    assert turns == [1, 2, 3, 4, 5, 6]
    assert list(found) == ["a", "b"]


def test_the_fastest_repeat_counts_with_its_own_parts_and_the_first_does_not(clock):
    taken = iter([(0.5, 0.25), (4.0, 1.0), (2.0, 0.5), (3.0, 0.125)])

    def step(timer: PartTimer) -> None:
        all_seconds, of_part = next(taken)
        with timer.part("part"):
            clock.seconds += of_part
        clock.seconds += all_seconds - of_part

    found = take_turns({"step": step}, CPU, 3)["step"]
    assert (found.seconds, found.parts, found.peak_bytes) == (2.0, {"part": 0.5}, None)


def test_a_part_that_comes_twice_is_added_up_and_one_that_fails_is_counted(clock):
    timer = PartTimer(CPU)
    for seconds in (1.0, 2.0):
        with timer.part("work"):
            clock.seconds += seconds
    with pytest.raises(ValueError, match="broken"), timer.part("fail"):
        clock.seconds += 0.5
        raise ValueError("broken")
    assert timer.seconds == {"work": 3.0, "fail": 0.5}
