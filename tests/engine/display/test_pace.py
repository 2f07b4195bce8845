"""How long something has taken, and will take."""

import pytest

from stal.engine.display.pace import Pace


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def pace_after(*seconds: float, total: int = 10, done: int = 0) -> Pace:
    """Return a pace whose iterations took so many seconds each."""
    clock = Clock()
    pace = Pace(total, done, clock)
    for duration in seconds:
        clock.seconds += duration
        pace.advance()
    return pace


def test_the_time_left_is_not_known_before_the_second_iteration():
    assert pace_after().remaining_seconds is None
    assert pace_after(7.0).remaining_seconds is None
    assert str(pace_after(7.0)) == "0:00:07 gone, ? left"


def test_the_time_left_follows_from_the_mean_of_all_iterations_but_the_first():
    pace = pace_after(60.0, 1.0, 2.0, 3.0)
    assert pace.elapsed_seconds == 66.0
    assert pace.remaining_seconds == 2.0 * 6
    assert str(pace) == "0:01:06 gone, 0:00:12 left"


def test_what_was_done_before_does_not_count_for_the_pace():
    assert pace_after(60.0, 2.0, 4.0, done=5).remaining_seconds == 3.0 * 2


def test_time_between_iterations_counts():
    clock = Clock()
    pace = Pace(4, clock=clock)
    for pause in (0.0, 0.0, 8.0):  # a validation before the third
        clock.seconds += 1.0 + pause
        pace.advance()
    assert pace.remaining_seconds == 5.0


@pytest.mark.parametrize("pace", [Pace(0), Pace(3, done=3), pace_after(1.0, total=1)])
def test_nothing_is_left_at_the_end(pace):
    assert pace.remaining_seconds == 0.0
