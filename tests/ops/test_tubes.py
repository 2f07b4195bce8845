import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.ops.tubes import interpolate_boxes, tube_iou, tube_iou_pairs
from stal.structures import Tube

BOX = (0, 0, 10, 10)
HALF = (0, 0, 10, 5)


def tube(frames: range | list[int], box: tuple[int, ...] = BOX) -> Tube:
    return Tube(0, np.array(frames, np.int64), np.tile(np.array(box, np.float32), (len(frames), 1)))


@st.composite
def tubes(draw: st.DrawFn) -> Tube:
    frames = sorted(draw(st.sets(st.integers(0, 6), min_size=1)))
    corner, size = st.integers(0, 4), st.integers(1, 4)
    rows = [draw(st.tuples(corner, corner, size, size)) for _ in frames]
    return Tube(0, np.array(frames), np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float32))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (tube(range(10)), tube(range(10)), 1.0),
        (tube([4]), tube([4]), 1.0),
        (tube(range(5)), tube(range(5, 10)), 0.0),  # touching in time
        (tube(range(10)), tube(range(9, 19)), 1 / 19),
        (tube(range(10)), tube(range(20)), 0.5),
        (tube(range(10)), tube(range(10), HALF), 0.5),
        (tube([0, 1, 8, 9]), tube(range(10)), 0.4),  # the gap is not covered
        (tube([0, 2, 4]), tube([1, 3, 5]), 0.0),  # same extent, no common frame
        (tube([0, 1, 5]), tube([0, 5, 6], HALF), 1.0 / 4),
    ],
)
def test_iou_of_two_tubes(a: Tube, b: Tube, expected: float) -> None:
    assert tube_iou(a, b) == expected


@given(tubes(), tubes())
def test_tube_iou_is_symmetric_in_0_to_1_and_1_with_itself(a: Tube, b: Tube) -> None:
    assert 0 <= tube_iou(a, b) <= 1
    assert tube_iou(a, b) == tube_iou(b, a)
    assert tube_iou(a, a) == 1


@given(st.lists(tubes(), max_size=4), st.lists(tubes(), max_size=4), st.data())
def test_tube_iou_pairs_are_the_single_ious_of_each_group(a: list[Tube], b: list[Tube], data: st.DataObject) -> None:
    a_groups, b_groups = (
        np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(x), max_size=len(x))), np.int64) for x in (a, b)
    )
    i, j, iou = tube_iou_pairs(a, a_groups, b, b_groups)
    found = dict(zip(zip(i.tolist(), j.tolist(), strict=True), iou.tolist(), strict=True))
    assert list(found) == sorted(found)
    for row, one in enumerate(a):
        for column, other in enumerate(b):
            expected = tube_iou(one, other) if a_groups[row] == b_groups[column] else 0
            assert found.get((row, column), 0) == pytest.approx(expected, abs=1e-15)


def test_interpolation_fills_a_gap_linearly_and_keeps_given_boxes() -> None:
    frames = np.array([3, 4, 7], np.int64)
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [3, 0, 16, 10]], np.float32)
    every, filled = interpolate_boxes(frames, boxes)
    assert every.tolist() == [3, 4, 5, 6, 7]
    np.testing.assert_array_equal(filled[[0, 1, 4]], boxes)
    np.testing.assert_array_equal(filled[2:4], [[1, 0, 12, 10], [2, 0, 14, 10]])


def test_interpolation_of_one_box_is_that_box() -> None:
    frames, boxes = np.array([5], np.int64), np.array([BOX], np.float32)
    every, filled = interpolate_boxes(frames, boxes)
    assert every.tolist() == [5]
    np.testing.assert_array_equal(filled, boxes)
