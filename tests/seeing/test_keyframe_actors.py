import pytest

from stal.seeing.keyframe_actors import spread


@pytest.mark.parametrize("count", [1, 2, 3, 8, 13])
def test_positions_are_taken_each_once_and_evenly_from_the_start(count):
    order = spread(count)
    assert sorted(order) == list(range(count))
    half = order[: (count + 1) // 2]
    assert all(any(abs(position - taken) <= 1 for taken in half) for position in range(count))
