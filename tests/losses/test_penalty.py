"""When a penalty is due, and with what factor."""

import pytest

from stal.errors import ConfigError
from stal.losses.penalty import Schedule


def test_a_penalty_without_a_schedule_is_due_always_with_its_weight():
    schedule = Schedule(0.3)
    assert all(schedule.is_due(step) for step in range(5))
    assert {schedule.factor(step) for step in range(5)} == {0.3}


def test_a_penalty_on_every_third_step_weighs_three_times_as_much():
    schedule = Schedule(0.5, interval=3)
    assert [schedule.is_due(step) for step in range(7)] == [True, False, False, True, False, False, True]
    assert schedule.factor(3) == 1.5


def test_the_weight_grows_from_the_first_step_with_the_penalty_on():
    schedule = Schedule(2.0, warmup_steps=4, start_step=10)
    assert not schedule.is_due(9)
    assert schedule.is_due(10)
    assert [schedule.factor(step) for step in range(10, 16)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_a_weight_of_zero_is_a_penalty_that_is_only_logged():
    assert Schedule(0.0).is_due(0)
    assert Schedule(0.0).factor(0) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"weight": -1.0},
        {"weight": float("nan")},
        {"weight": float("inf")},
        {"weight": 1.0, "interval": 0},
        {"weight": 1.0, "warmup_steps": -1},
        {"weight": 1.0, "start_step": -1},
    ],
)
def test_impossible_schedules_are_refused(arguments):
    with pytest.raises(ConfigError, match="Schedule"):
        Schedule(**arguments)
