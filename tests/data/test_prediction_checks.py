"""What makes detections, tubes and ground truth unusable, by array, row and count."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.data.detection_files import read_detections
from stal.data.prediction_checks import (
    Listing,
    box_problems,
    drop,
    frame_problems,
    name_problems,
    order_problems,
    score_problems,
)
from stal.errors import AnnotationError
from stal.structures import Annotations, Video

BOXES = np.array([[0, 0, 4, 4], [1, 0, 5, 4], [2, 0, 6, 4]], np.float32)
NAN_BOXES, FLAT_BOXES, INVERTED_BOXES = (BOXES.copy() for _ in range(3))
NAN_BOXES[1:, 2] = np.nan, np.inf
FLAT_BOXES[2, 3] = FLAT_BOXES[2, 1]
INVERTED_BOXES[2, :2] = 100

# what is changed, the array that is named, its row, what is said of it, how many rows are such
INVALID_DETECTIONS: list[tuple[dict[str, Any], str, int, str, str]] = [
    ({"det_score": [0.5, np.nan, -np.inf]}, "det_score", 1, "score not finite: score nan", "2 of 3"),
    (
        {"det_boxes": NAN_BOXES},
        "det_boxes",
        1,
        r"box not finite: box \[1.0, 0.0, nan, 4.0\]; coordinates are finite, and within float32",
        "2 of 3",
    ),
    ({"det_boxes": np.full((3, 4), 1e39)}, "det_boxes", 0, "box not finite", "3 of 3"),
    ({"det_boxes": INVERTED_BOXES}, "det_boxes", 2, r"box inverted: box \[100.*is it x, y, width, height", "1 of 3"),
    ({"det_boxes": FLAT_BOXES}, "det_boxes", 2, "box without area: box.*is it padding", "1 of 3"),
    ({"det_frame": [8, 1, 0]}, "det_frame", 2, "frame 0, but 'b' has the frames 1 to 8", "1 of 3"),
    ({"det_frame": [9, 11, 8]}, "det_frame", 0, "frame 9, but 'b' has the frames 1 to 8", "2 of 3"),
    ({"det_video": [0, 2, -1]}, "det_video", 1, "unknown video: 2 is not a row of `videos`, which has 2", "2 of 3"),
    ({"det_class": [0, 1, 2]}, "det_class", 2, "unknown class: 2 is not a row of `labels`, which has 2", "1 of 3"),
]
INVALID_TUBES: list[tuple[dict[str, Any], str, int, str, str]] = [
    ({"tube_score": [0.5, np.inf]}, "tube_score", 1, "score not finite: score inf", "1 of 2"),
    ({"tube_boxes": NAN_BOXES}, "tube_boxes", 1, "box not finite", "2 of 3"),
    ({"tube_boxes": INVERTED_BOXES}, "tube_boxes", 2, "box inverted", "1 of 3"),
    ({"tube_boxes": FLAT_BOXES}, "tube_boxes", 2, "box without area", "1 of 3"),
    ({"tube_video": [-1, 0]}, "tube_video", 0, "unknown video: -1", "1 of 2"),
    ({"tube_class": [0, 7]}, "tube_class", 1, "unknown class: 7", "1 of 2"),
    ({"tube_start": [0, 1]}, "tube_start", 0, "2 boxes from frame 0 on, but 'a' has the frames 1 to 10", "1 of 2"),
    ({"tube_start": [10, 11]}, "tube_start", 0, "2 boxes from frame 10 on, but 'a'", "2 of 2"),
    ({"tube_start": [2**63 - 1, 1]}, "tube_start", 0, "frame outside the video", "1 of 2"),
    ({"tube_frame": [1, 11, 10]}, "tube_frame", 1, "frame 11, but 'a' has the frames 1 to 10", "1 of 3"),
    ({"tube_frame": [1, 1, 10]}, "tube_frame", 1, "frame repeated: frame 1 after frame 1", "1 of 3"),
    (
        {"tube_frame": [1, 3, 10], "tube_start": [1, 9]},
        "tube_start",
        1,
        "start 9, but tube_frame begins with 10",
        "1 of 2",
    ),
    (
        {"tube_frame": [3, 2, 10], "tube_start": [3, 10]},
        "tube_frame",
        1,
        "frames not sorted: frame 2 after frame 3",
        "1 of 3",
    ),
]
INVALID_TRUTH: list[tuple[dict[str, Any], str, int, str, str]] = [
    ({"nframes": [10, 0]}, "nframes", 1, "not positive: 0", "1 of 2"),
    ({"hw": [[240, 320], [240, -1]]}, "hw", 1, r"not positive: \[240, -1\]", "1 of 2"),
    ({"hw": [0, 320]}, "hw", 0, "not positive: 0", "1 of 2"),
    ({"gt_video": [2]}, "gt_video", 0, "unknown video: 2", "1 of 1"),
    ({"gt_class": [2]}, "gt_class", 0, "unknown class: 2", "1 of 1"),
    ({"gt_start": [7]}, "gt_start", 0, "3 boxes from frame 7 on, but 'b' has the frames 1 to 8", "1 of 1"),
    ({"gt_boxes": NAN_BOXES}, "gt_boxes", 1, "box not finite", "2 of 3"),
    ({"gt_boxes": INVERTED_BOXES}, "gt_boxes", 2, "box inverted", "1 of 3"),
    ({"gt_boxes": FLAT_BOXES}, "gt_boxes", 2, "box without area", "1 of 3"),
    ({"gt_frame": [6, 6, 6]}, "gt_frame", 1, "frame repeated", "2 of 3"),
]


@pytest.mark.parametrize(("changes", "array", "row", "text", "count"), INVALID_DETECTIONS + INVALID_TUBES)
def test_an_invalid_prediction_is_named_or_dropped_and_counted(
    write_npz: Callable[..., Path], changes: dict[str, Any], array: str, row: int, text: str, count: str
) -> None:
    path = write_npz(**changes)
    with pytest.raises(
        AnnotationError, match=rf"bad\.npz: {array}, row {row}: .*{text}.*; {count} rows.*--drop-invalid"
    ):
        read_detections(path)
    file = read_detections(path, drop_invalid=True)
    assert file.tubes is not None
    left = sum(map(len, file.detections.values())) + sum(map(len, file.tubes.values()))
    assert left + sum(file.dropped.values()) == 5
    ((reason, num_dropped),) = file.dropped.items()
    assert reason.startswith(f"{array}: ")
    assert num_dropped == int(count.split()[0])


@pytest.mark.parametrize(("changes", "array", "row", "text", "count"), INVALID_TRUTH)
@pytest.mark.parametrize("drop_invalid", [False, True])
def test_invalid_ground_truth_is_always_refused(
    write_npz: Callable[..., Path],
    changes: dict[str, Any],
    array: str,
    row: int,
    text: str,
    count: str,
    drop_invalid: bool,
) -> None:
    path = write_npz(**changes)
    with pytest.raises(AnnotationError, match=rf"bad\.npz: {array}, row {row}: .*{text}.*; {count} rows") as error:
        read_detections(path, drop_invalid=drop_invalid)
    assert "--drop-invalid" not in str(error.value)


@pytest.mark.parametrize("array", ["det_boxes", "tube_boxes", "gt_boxes"])
@pytest.mark.parametrize("hw", [[240, 320], [9, 1], None])
@pytest.mark.parametrize("drop_invalid", [False, True])
def test_normalised_boxes_are_always_refused(
    write_npz: Callable[..., Path], array: str, hw: list[int] | None, drop_invalid: bool
) -> None:
    boxes = np.array([[0, 0, 1, 0.5], [-0.5, 0, 1.5, 1], [0.25, 0.5, 0.75, 1.25]])
    truth = {"gt_boxes": BOXES * 4}  # so that the videos are seen to be large also without `hw`
    path = write_npz(**truth | {"hw": hw, array: boxes})
    with pytest.raises(
        AnnotationError, match=rf"bad\.npz: {array} lies within -0\.5 to 1\.5, .* multiply x1 and x2 by the width"
    ):
        read_detections(path, drop_invalid=drop_invalid)


def test_normalised_boxes_are_refused_though_others_are_dropped(write_npz: Callable[..., Path]) -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 9, np.nan], [9, 9, 9, 9]])
    for prefix in ("det", "tube"):
        path = write_npz(**{f"{prefix}_boxes": boxes}, tube_offset=[0, 1, 3])
        with pytest.raises(AnnotationError, match=f"{prefix}_boxes lies within 0 to 1,"):
            read_detections(path, drop_invalid=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"det_boxes": np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1.75]])},
        {"det_boxes": np.array([[0, 0, 1, 1], [0, 0, 1, 1], [-0.75, 0, 1, 1]])},
        {"det_boxes": np.tile([0, 0, 1, 1], (3, 1)), "hw": [8, 8]},
    ],
)
def test_boxes_of_a_pixel_are_not_taken_for_normalised(write_npz: Callable[..., Path], changes: dict[str, Any]) -> None:
    assert len(read_detections(write_npz(**changes)).detections["b"]) == 2


def test_a_prediction_with_several_faults_counts_once(write_npz: Callable[..., Path]) -> None:
    changes = {"det_score": [np.nan, 1, 1], "det_frame": [0, 0, 1], "det_class": [0, 1, 5]}
    path = write_npz(**changes)
    file = read_detections(path, drop_invalid=True)
    assert file.dropped == {
        "det_class: unknown class": 1,
        "det_score: score not finite": 1,
        "det_frame: frame outside the video": 1,
    }


def test_a_tube_is_dropped_once_however_many_of_its_boxes_are_invalid(write_npz: Callable[..., Path]) -> None:
    boxes = BOXES.copy()
    boxes[:2] = np.nan, np.nan, np.nan, np.inf
    path = write_npz(tube_boxes=boxes)
    assert read_detections(path, drop_invalid=True).dropped == {"tube_boxes: box not finite": 1}


def test_what_is_left_of_a_file_is_in_its_place(write_npz: Callable[..., Path]) -> None:
    changes = {"det_score": [0.5, 0.25, np.nan], "tube_score": [np.nan, 0.25]}
    file = read_detections(write_npz(**changes), drop_invalid=True)
    assert file.dropped == {"det_score: score not finite": 1, "tube_score: score not finite": 1}
    assert {key: boxes.scores.tolist() for key, boxes in file.detections.items()} == {"a": [0.25], "b": [0.5]}
    assert file.tubes is not None
    assert [(tube.label, tube.id, tube.frames.tolist()) for tube in file.tubes["a"]] == [(1, 0, [9])]


@given(
    rows=st.lists(
        st.tuples(
            st.integers(-1, 3),
            st.integers(-1, 2),
            st.integers(0, 6),
            st.sampled_from([0.5, np.nan, np.inf]),
            st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan, -np.inf]), min_size=4, max_size=4),
        ),
        max_size=12,
    )
)
def test_what_is_dropped_equals_a_check_of_each_row(rows: list[tuple[int, int, int, float, list[float]]]) -> None:
    lengths = {"a": 3, "b": 5}
    known = Annotations(("run", "jump"), tuple(Video(key, Path(key), n, 9, 9) for key, n in lengths.items()))
    listing = Listing(("b", "x", "a"), ("jump", "fly"), known, 1)

    def is_valid(video: int, label: int, frame: int, score: float, box: list[float]) -> bool:
        key = listing.videos[video] if 0 <= video < 3 else ""
        return (
            key in lengths
            and label == 0
            and 1 <= frame <= lengths[key]
            and bool(np.isfinite([score, *box]).all())
            and box[0] < box[2]
            and box[1] < box[3]
        )

    videos, labels, frames = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    items = np.arange(len(rows))
    problems = [
        *name_problems("det", videos, labels, listing),
        *score_problems("det_score", np.array([row[3] for row in rows])),
        *box_problems("det_boxes", np.array([row[4] for row in rows], np.float32).reshape(-1, 4), items),
        *frame_problems("det_frame", frames, videos, listing, items),
    ]
    valid, dropped = drop(problems, len(rows))
    assert valid.tolist() == [is_valid(*row) for row in rows]
    assert sum(dropped.values()) == (~valid).sum()


@given(tubes=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), max_size=4))
def test_tubes_that_are_dropped_for_their_order_are_those_that_do_not_rise(tubes: list[list[int]]) -> None:
    frames = np.array([frame for tube in tubes for frame in tube], np.int64)
    tube_of_frame = np.repeat(np.arange(len(tubes)), [len(tube) for tube in tubes])
    valid, _ = drop(order_problems("tube_frame", frames, tube_of_frame), len(tubes))
    assert valid.tolist() == [tube == sorted(set(tube)) for tube in tubes]
