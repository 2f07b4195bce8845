import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.ops.boxes import area, best_first, nms, paired_iou, pairwise_iou, suppressors


@st.composite
def box_arrays(draw: st.DrawFn, max_size: int = 12) -> np.ndarray:
    corner, size = st.integers(0, 6), st.integers(1, 6)
    rows = draw(st.lists(st.tuples(corner, corner, size, size), max_size=max_size))
    return np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),
        ([0, 0, 10, 10], [10, 0, 20, 10], 0.0),  # touching: pixel 9 and pixel 10
        ([0, 0, 10, 10], [30, 30, 40, 40], 0.0),
        ([0, 0, 10, 10], [0, 0, 10, 5], 0.5),
        ([0, 0, 100, 100], [15, 0, 115, 100], 85 / 115),
        ([0, 0, 1, 1], [0.5, 0, 1.5, 1], 1 / 3),
    ],
)
def test_iou_of_two_boxes(a: list[float], b: list[float], expected: float) -> None:
    assert paired_iou(np.array([a], np.float32), np.array([b], np.float32)).tolist() == [expected]


def test_area_needs_no_plus_one() -> None:
    assert area(np.array([[3, 3, 6, 5]], np.float32)).tolist() == [6.0]


@given(box_arrays(), box_arrays())
def test_iou_is_symmetric_and_in_0_to_1(a: np.ndarray, b: np.ndarray) -> None:
    iou = pairwise_iou(a, b)
    assert iou.shape == (len(a), len(b))
    assert ((iou >= 0) & (iou <= 1)).all()
    np.testing.assert_array_equal(iou, pairwise_iou(b, a).T)
    np.testing.assert_array_equal(np.diagonal(pairwise_iou(a, a)), 1)


def test_best_first_orders_equal_scores_by_coordinates() -> None:
    boxes = np.array([[5, 0, 9, 9], [1, 0, 9, 9], [1, 0, 8, 9]], np.float32)
    assert best_first(boxes, np.array([0.5, 0.5, 0.5])).tolist() == [2, 1, 0]
    assert best_first(boxes, np.array([0.5, 0.9, 0.1])).tolist() == [1, 0, 2]


@given(box_arrays(), st.data(), st.sampled_from([0.2, 0.5, 0.8]))
def test_suppressors_are_those_of_the_greedy_loop(boxes: np.ndarray, data: st.DataObject, threshold: float) -> None:
    per_box = {"min_size": len(boxes), "max_size": len(boxes)}
    scores = np.array(data.draw(st.lists(st.sampled_from([0.25, 0.5, 0.75]), **per_box)), np.float64)
    groups = np.array(data.draw(st.lists(st.integers(0, 1), **per_box)), np.int64)
    expected: dict[int, int] = {}
    survivors: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda i: (-scores[i], *boxes[i])):
        over = [s for s in survivors if groups[s] == groups[row] and pairwise_iou(boxes, boxes)[s, row] >= threshold]
        expected[row] = over[0] if over else row
        survivors += [] if over else [row]
    found = suppressors(boxes, scores, groups, threshold)
    # Of identical boxes either may speak for the rest.
    identity = [(groups[i], scores[i], *boxes[i]) for i in range(len(boxes))]
    assert [identity[i] for i in found] == [identity[expected[i]] for i in range(len(boxes))]
    assert len(nms(boxes, scores, groups, threshold)) == len(survivors)


def test_a_suppressed_box_suppresses_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)  # a chain: 0-1 and 1-2 overlap
    kept = nms(boxes, np.array([0.9, 0.8, 0.7]), np.zeros(3, np.int64), 0.4)
    assert kept.tolist() == [0, 2]
