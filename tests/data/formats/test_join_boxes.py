"""Boxes become tubes: matched by overlap from frame to frame, whatever the order of the rows."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.data.formats.join_boxes import group_boxes, join_boxes
from stal.errors import ShapeError
from stal.ops.boxes import pairwise_iou
from stal.structures import Tube

Row = tuple[int, int, int]  # frame, x1, class: boxes of 10 x 10 in a row


def arrays(rows: list[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(rows, np.int64).reshape(-1, 3)
    x1 = table[:, 1].astype(np.float32)
    zeros = np.zeros_like(x1)
    return table[:, 0], np.stack([x1, zeros, x1 + 10, zeros + 10], axis=1), table[:, 2]


def as_rows(tubes: tuple[Tube, ...]) -> list[list[Row]]:
    return [
        [(int(frame), int(box[0]), tube.label) for frame, box in zip(tube.frames, tube.boxes, strict=True)]
        for tube in tubes
    ]


@pytest.mark.parametrize(
    ("rows", "tubes"),
    [
        ([], []),
        ([(3, 0, 1)], [[(3, 0, 1)]]),
        ([(0, 0, 0), (1, 1, 0), (2, 2, 0)], [[(0, 0, 0), (1, 1, 0), (2, 2, 0)]]),
        ([(0, 0, 0), (2, 0, 0)], [[(0, 0, 0)], [(2, 0, 0)]]),  # a gap ends a tube
        ([(0, 0, 0), (1, 0, 1)], [[(0, 0, 0)], [(1, 0, 1)]]),  # so does another class
        ([(0, 0, 0), (1, 10, 0)], [[(0, 0, 0)], [(1, 10, 0)]]),  # touching is no overlap
        ([(0, 0, 0), (1, 6, 0)], [[(0, 0, 0)], [(1, 6, 0)]]),  # overlap 4/16
        ([(0, 0, 0), (0, 0, 0)], [[(0, 0, 0)], [(0, 0, 0)]]),  # two boxes of one frame are two actors
        ([(5, 0, 0), (0, 50, 1), (0, 0, 2)], [[(0, 50, 1)], [(0, 0, 2)], [(5, 0, 0)]]),  # ids by first frame, class
        # the best sum of overlaps: the nearest pair (3, 4) would leave 0 and 7 alone
        ([(0, 0, 0), (0, 3, 0), (1, 4, 0), (1, 7, 0)], [[(0, 0, 0), (1, 4, 0)], [(0, 3, 0), (1, 7, 0)]]),
    ],
)
def test_boxes_join_to_tubes(rows: list[Row], tubes: list[list[Row]]) -> None:
    found = join_boxes(*arrays(rows))
    assert as_rows(found) == tubes
    assert [tube.id for tube in found] == list(range(len(tubes)))


def test_boxes_that_do_not_overlap_are_never_joined() -> None:
    assert len(join_boxes(*arrays([(0, 0, 0), (1, 10, 0)]), min_iou=0.0)) == 2
    assert len(join_boxes(*arrays([(0, 0, 0), (1, 9, 0)]), min_iou=0.0)) == 1


ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 25), st.integers(0, 1)), max_size=14)


@given(ROWS, st.randoms(use_true_random=False))
def test_every_box_is_in_one_tube_and_order_does_not_matter(rows: list[Row], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    tubes = as_rows(join_boxes(*arrays(rows)))
    assert sorted(row for tube in tubes for row in tube) == sorted(rows)
    assert as_rows(join_boxes(*arrays(shuffled))) == tubes


@given(st.lists(st.integers(0, 25), max_size=4), st.lists(st.integers(0, 25), max_size=4))
def test_matching_has_the_largest_sum_of_overlaps(before: list[int], after: list[int]) -> None:
    frames, boxes, labels = arrays([(0, x, 0) for x in before] + [(1, x, 0) for x in after])
    overlap = pairwise_iou(boxes[: len(before)], boxes[len(before) :])
    overlap[overlap < 0.3] = 0
    wide = overlap if len(before) <= len(after) else overlap.T
    best = max(wide[range(len(wide)), list(chosen)].sum() for chosen in permutations(range(wide.shape[1]), len(wide)))
    tubes = join_boxes(frames, boxes, labels)
    joined = sum(pairwise_iou(tube.boxes[:1], tube.boxes[1:]).sum() for tube in tubes)
    assert joined == pytest.approx(best)


def test_boxes_that_are_none_are_refused() -> None:
    frames, boxes, labels = arrays([(0, 0, 0), (1, 0, 0)])
    boxes[1, 2] = np.nan
    with pytest.raises(ShapeError, match="finite xyxy pixels"):
        join_boxes(frames, boxes, labels)


def test_boxes_are_grouped_by_actor_and_class_whatever_their_order() -> None:
    frames, boxes, labels = arrays([(5, 0, 1), (2, 1, 1), (2, 1, 0), (0, 7, 0), (9, 8, 0)])
    tubes = group_boxes(frames, boxes, labels, np.array([7, 7, 7, 3, 3]))
    assert as_rows(tubes) == [[(0, 7, 0), (9, 8, 0)], [(2, 1, 0)], [(2, 1, 1), (5, 0, 1)]]
    assert [tube.id for tube in tubes] == [0, 1, 2]
    assert group_boxes(*arrays([]), np.zeros(0, np.int64)) == ()


def test_an_actor_has_one_box_of_a_class_on_a_frame() -> None:
    with pytest.raises(ShapeError, match=r"actor 1 has two boxes of class 0 .* on frame 0"):
        group_boxes(*arrays([(0, 0, 0), (0, 5, 0)]), np.array([1, 1]))
