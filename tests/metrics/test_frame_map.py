from pathlib import Path

import numpy as np
import pytest

from stal.errors import StalError
from stal.metrics.frame_map import frame_map
from stal.metrics.protocol import PROTOCOLS
from stal.structures import Detections, Tube, Video

ACTOR = (10, 10, 50, 90)


def video(key: str = "v", label: int = 0, num_frames: int = 5) -> Video:
    boxes = np.tile(np.array(ACTOR, np.float32), (num_frames, 1))
    return Video(key, Path("v.avi"), num_frames, 100, 100, tubes=(Tube(label, np.arange(num_frames), boxes),))


def detections(*rows: tuple[int, tuple[float, ...], int, float]) -> Detections:
    frames, boxes, labels, scores = zip(*rows, strict=True)
    return Detections(
        np.array(frames, np.int64), np.array(boxes, np.float32), np.array(labels, np.int64), np.array(scores)
    )


def on_every_frame(score: float = 0.9, num_frames: int = 5) -> Detections:
    return detections(*((frame, ACTOR, 0, score) for frame in range(num_frames)))


def test_ground_truth_as_detections_gives_1() -> None:
    assert frame_map([video()], {"v": on_every_frame()}, 1).mean == 1


@pytest.mark.parametrize("nothing", [{}, {"v": Detections.empty()}])
def test_no_detections_give_0(nothing: dict[str, Detections]) -> None:
    result = frame_map([video()], nothing, 2)
    assert result.mean == 0
    np.testing.assert_array_equal(result.per_class, [0, np.nan])


def test_a_missing_video_counts_as_missed() -> None:
    assert frame_map([video("v"), video("w")], {"v": on_every_frame()}, 1).mean == 0.5


def test_the_same_frame_of_another_video_is_another_place() -> None:
    videos = [video("v"), Video("w", Path("w.avi"), 5, 100, 100)]
    assert frame_map(videos, {"w": on_every_frame()}, 1).mean == 0


def test_detections_on_frames_without_ground_truth_are_false_positives() -> None:
    boxes = np.array([ACTOR], np.float32)
    late = Video("v", Path("v.avi"), 9, 100, 100, tubes=(Tube(0, np.array([8]), boxes),))
    assert frame_map([late], {"v": detections((0, ACTOR, 0, 0.9), (8, ACTOR, 0, 0.8))}, 1).mean == 0.5


def test_an_overlap_equal_to_the_threshold_is_a_hit() -> None:
    half = detections(*((frame, (10, 10, 50, 50), 0, 0.5) for frame in range(5)))
    assert frame_map([video()], {"v": half}, 1, 0.5).mean == 1
    assert frame_map([video()], {"v": half}, 1, 0.51).mean == 0


@pytest.mark.parametrize(("order", "expected"), [((0, 1), 0.5), ((1, 0), 1.0)])
def test_the_first_ground_truth_wins_a_tie(order: tuple[int, int], expected: float) -> None:
    # The surer box overlaps both actors by the same 2/3; the other box is on actor 0, which may be taken by then.
    actors = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)
    tubes = tuple(Tube(0, np.array([0]), actors[[row]], id=row) for row in order)
    found = detections((0, (2, 0, 12, 10), 0, 0.9), (0, (0, 0, 10, 10), 0, 0.8))
    assert frame_map([Video("v", Path("v.avi"), 1, 100, 100, tubes=tubes)], {"v": found}, 1).mean == expected


def test_no_ground_truth_at_all_has_no_mean() -> None:
    result = frame_map([], {}, 3)
    assert np.isnan(result.mean)
    assert np.isnan(result.per_class).all()


def test_nothing_is_changed() -> None:
    found = on_every_frame()
    before = [found.frames.copy(), found.boxes.copy(), found.labels.copy(), found.scores.copy()]
    world = {"v": found}
    assert frame_map([video()], world, 1).mean == frame_map([video()], world, 1).mean
    for old, new in zip(before, [found.frames, found.boxes, found.labels, found.scores], strict=True):
        np.testing.assert_array_equal(old, new)
    assert list(world) == ["v"]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"x": Detections.empty()}, "unknown videos, first 'x'"),
        ({"v": detections((0, ACTOR, 2, 0.5))}, "class 2 is outside 0 to 1"),
        ({"v": detections((5, ACTOR, 0, 0.5))}, "frame 5 is outside 0 to 4"),
    ],
)
def test_detections_that_are_not_of_the_videos_are_refused(found: dict[str, Detections], message: str) -> None:
    with pytest.raises(StalError, match=message):
        frame_map([video()], found, 2)


def test_ground_truth_of_an_unknown_class_or_given_twice_is_refused() -> None:
    with pytest.raises(StalError, match="annotated class 1 is outside 0 to 0"):
        frame_map([video(label=1)], {}, 1)
    with pytest.raises(StalError, match="only 1 different keys"):
        frame_map([video(), video()], {}, 1)


@pytest.mark.parametrize(
    ("half_open", "last", "found_last", "expected"),
    # Ground truth over the pixels 0 to 9, and a detection over their upper half, which is stored in two ways.
    [(True, 10, 5, {"voc": 1, "act": 1}), (False, 9, 4, {"voc": 0, "act": 1})],
)
def test_half_of_an_actor_in_both_conventions(
    half_open: bool, last: int, found_last: int, expected: dict[str, float]
) -> None:
    tube = Tube(0, np.array([0]), np.array([[0, 0, last, last]], np.float32))
    annotated = Video("v", Path("v.avi"), 1, 100, 100, tubes=(tube,))
    found = {"v": detections((0, (0, 0, last, found_last), 0, 0.9))}
    for name, value in expected.items():
        assert frame_map([annotated], found, 1, protocol=PROTOCOLS[name], half_open=half_open).mean == value, name
