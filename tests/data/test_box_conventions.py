from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.data.box_conventions import to_half_open, to_inclusive
from stal.errors import AnnotationError
from stal.structures import Annotations, Tube, Video


def annotated(boxes: list[list[float]]) -> Annotations:
    tubes = [Tube(0, np.array([3]), np.array([box], np.float32), id=number) for number, box in enumerate(boxes)]
    return Annotations(
        ("run",), (Video("a", Path("a"), 9, 240, 320, tubes=tuple(tubes)), Video("b", Path("b"), 9, 2, 2))
    )


def boxes_of(annotations: Annotations) -> list[list[float]]:
    return [tube.boxes[0].tolist() for tube in annotations.videos[0].tubes]


def test_a_half_open_box_ends_one_pixel_further_than_an_inclusive_one() -> None:
    inclusive = annotated([[3, 1, 5, 9], [0.5, 0, 7.25, 8]])
    assert boxes_of(to_half_open(inclusive)) == [[3, 1, 6, 10], [0.5, 0, 8.25, 9]]
    assert boxes_of(to_inclusive(inclusive)) == [[3, 1, 4, 8], [0.5, 0, 6.25, 7]]
    assert boxes_of(inclusive) == [[3, 1, 5, 9], [0.5, 0, 7.25, 8]]


def test_nothing_else_changes() -> None:
    before = annotated([[3, 1, 5, 9]])
    after = to_half_open(before)
    assert after.classes == before.classes
    assert after.videos[1].tubes == ()
    assert (after.videos[0].key, after.videos[0].num_frames) == ("a", 9)
    assert after.videos[0].tubes[0].frames.tolist() == [3]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(2, 300), st.integers(2, 300)), max_size=4)
)
def test_both_ways_give_back_the_pixels(boxes: list[tuple[int, int, int, int]]) -> None:
    annotations = annotated([[x, y, x + width, y + height] for x, y, width, height in boxes])
    assert boxes_of(to_half_open(to_inclusive(annotations))) == boxes_of(annotations)
    assert boxes_of(to_inclusive(to_half_open(annotations))) == boxes_of(annotations)


def test_a_box_of_one_pixel_cannot_become_inclusive() -> None:
    with pytest.raises(AnnotationError, match=r"video a: with -1 added .*tube 1 .*box 0 is \[5.0, 5.0, 5.0, 8.0\]"):
        to_inclusive(annotated([[0, 0, 4, 4], [5, 5, 6, 9]]))
