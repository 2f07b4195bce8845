import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.errors import ConfigError, ShapeError
from stal.linking.act import ActLinking, Tubelets, link_tubelets
from stal.linking.linker import LINKERS
from stal.structures import Detections, Tube


def tubelets(*rows: tuple[int, float, float], num_frames: int = 6, label: int = 0) -> Tubelets:
    """Tubelets (start, x, score) that stand still."""
    boxes = [np.tile(np.float32([x, 0, x + 10, 10]), (num_frames, 1)) for _, x, _ in rows]
    return Tubelets(
        np.array([start for start, _, _ in rows], np.int64),
        np.array(boxes, np.float32).reshape(-1, num_frames, 4),
        np.full(len(rows), label),
        np.array([score for _, _, score in rows], np.float64),
    )


def spans(tubes: list[Tube]) -> list[tuple[int, int]]:
    return [(int(tube.frames[0]), int(tube.frames[-1])) for tube in tubes]


def test_no_tubelets_give_no_tubes() -> None:
    assert link_tubelets(tubelets(), num_frames=20) == []


def test_a_tube_runs_from_its_first_tubelet_to_the_end_of_its_last() -> None:
    found = tubelets(*((start, 0.0, 0.5) for start in range(15)))
    assert spans(link_tubelets(found, num_frames=40)) == [(0, 19)]


def test_the_box_of_a_frame_is_the_mean_over_the_tubelets_that_cover_it() -> None:
    (tube,) = link_tubelets(tubelets((0, 0.0, 0.9), (3, 3.0, 0.3)), num_frames=9)
    assert tube.boxes[:, 0].tolist() == [0, 0, 0, 1.5, 1.5, 1.5, 3, 3, 3]
    assert tube.score == pytest.approx(0.6)


def test_frames_that_no_tubelet_covers_are_interpolated() -> None:
    (tube,) = link_tubelets(tubelets((0, 0.0, 0.5), (4, 3.0, 0.5), num_frames=2), num_frames=6, min_length=1)
    assert tube.frames.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(tube.boxes[:, 0], [0, 0, 1, 2, 3, 3])


@pytest.mark.parametrize(("offset", "expected"), [(5, [(0, 10)]), (6, [(0, 5), (6, 11)])])
def test_a_tubelet_follows_within_max_offset(offset: int, expected: list[tuple[int, int]]) -> None:
    found = tubelets((0, 0.0, 0.5), (offset, 0.0, 0.5))
    assert spans(link_tubelets(found, num_frames=30, min_length=1)) == expected
    assert len(link_tubelets(found, num_frames=30, min_length=1, link=ActLinking(max_offset=6))) == 1


def test_overlap_is_measured_on_the_frames_that_both_tubelets_have() -> None:
    # They walk 4 pixels a frame: equal on the shared frames, apart by 20 from first box to first box.
    boxes = np.float32([[[x, 0, x + 10, 10] for x in range(first, first + 24, 4)] for first in (0, 20)])
    found = Tubelets(np.array([0, 5]), boxes, np.zeros(2, np.int64), np.array([0.5, 0.5]))
    (tube,) = link_tubelets(found, num_frames=11, min_length=1)
    assert tube.boxes[:, 0].tolist() == list(range(0, 44, 4))


def test_tubelets_of_one_start_that_overlap_count_as_one() -> None:
    (tube,) = link_tubelets(tubelets((0, 0.0, 0.5), (0, 2.0, 0.9)), num_frames=6)
    assert (tube.score, tube.boxes[0, 0]) == (0.9, 2)


def test_only_the_best_top_k_tubelets_of_a_start_are_linked() -> None:
    found = tubelets((0, 0.0, 0.5), (0, 20.0, 0.9), (0, 40.0, 0.7))
    assert [tube.score for tube in link_tubelets(found, num_frames=6, top_k=2)] == [0.9, 0.7]


@pytest.mark.parametrize(("options", "expected"), [({"min_score": 0.5}, 1), ({"min_score": 0.51}, 0)])
def test_tubes_below_min_score_are_dropped(options: dict, expected: int) -> None:
    assert len(link_tubelets(tubelets((0, 0.0, 0.5)), num_frames=6, **options)) == expected


@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 6), st.integers(0, 1), st.integers(1, 8)), min_size=1, max_size=12
    )
)
def test_tubelets_of_one_frame_are_linked_as_boxes(rows: list[tuple[int, int, int, int]]) -> None:
    frames, corners, labels, scores = np.array(rows).T
    boxes = np.stack([corners, 0 * corners, corners + 4, 0 * corners + 4], axis=1).astype(np.float32)
    of_tubelets = link_tubelets(Tubelets(frames, boxes[:, None], labels, scores / 8), num_frames=8)
    of_boxes = LINKERS["act"](Detections(frames, boxes, labels, scores / 8), num_frames=8)
    assert len(of_tubelets) == len(of_boxes)
    for a, b in zip(of_tubelets, of_boxes, strict=True):
        assert (a.id, a.label, a.frames.tolist()) == (b.id, b.label, b.frames.tolist())
        np.testing.assert_array_equal(a.boxes, b.boxes)


def test_tubelets_that_leave_the_video_are_refused() -> None:
    with pytest.raises(ShapeError, match="ends on frame 8 of 0 to 7"):
        link_tubelets(tubelets((3, 0.0, 0.5)), num_frames=8)


def test_tubelets_of_wrong_shapes_or_values_are_refused() -> None:
    one = np.zeros(1, np.int64)
    with pytest.raises(ShapeError, match="K at least 1"):
        Tubelets(one, np.zeros((1, 0, 4), np.float32), one, np.zeros(1))
    with pytest.raises(ShapeError, match="scores must be finite"):
        tubelets((0, 0.0, float("nan")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nms_iou": 1.5}, "nms_iou 1.5"),
        ({"top_k": 0}, "top_k 0"),
        ({"min_score": -1.0}, "min_score -1.0"),
        ({"min_length": 0}, "min_length 0"),
    ],
)
def test_impossible_parameters_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        link_tubelets(tubelets((0, 0.0, 0.5)), num_frames=6, **options)
