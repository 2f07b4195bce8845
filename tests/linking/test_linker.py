from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.data.detection_files import read_detections
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.linking import linker as linker_module
from stal.linking.candidates import Candidates
from stal.linking.linker import LINKERS, TRIMMERS, Linker, link_videos
from stal.linking.online import OnlineLinking
from stal.metrics.video_map import video_map
from stal.structures import Detections, Tube

ACTOR = (10.0, 10.0, 50.0, 90.0)
PLAIN = Linker(candidates=Candidates(), link=OnlineLinking(), trim=TRIMMERS["none"], min_length=1)
COMBINATIONS = {
    f"{name}-{trimmer}": replace(linker, trim=trim)
    for name, linker in LINKERS.items()
    for trimmer, trim in TRIMMERS.items()
}
every_linker = pytest.mark.parametrize("linker", COMBINATIONS.values(), ids=COMBINATIONS)


def detections(*rows: tuple[int, tuple[float, ...], int, float]) -> Detections:
    frames, boxes, labels, scores = zip(*rows, strict=True)
    return Detections(
        np.array(frames, np.int64), np.array(boxes, np.float32), np.array(labels, np.int64), np.array(scores)
    )


def standing(frames: list[int] | range, score: float = 0.8, label: int = 0) -> Detections:
    """An actor that stands still, seen on `frames`."""
    return detections(*((frame, ACTOR, label, score) for frame in frames))


def spans(tubes: list[Tube]) -> list[tuple[int, int]]:
    return [(int(tube.frames[0]), int(tube.frames[-1])) for tube in tubes]


def contents(tubes: list[Tube]) -> list[tuple]:
    return [(t.id, t.label, t.score, t.frames.tolist(), t.boxes.tolist()) for t in tubes]


@every_linker
def test_an_actor_seen_on_every_frame_becomes_one_tube(linker: Linker) -> None:
    (tube,) = linker(standing(range(20)), num_frames=20)
    assert tube.frames.tolist() == list(range(20))
    np.testing.assert_array_equal(tube.boxes, np.tile(np.float32(ACTOR), (20, 1)))
    assert (tube.id, tube.label, tube.score) == (0, 0, pytest.approx(0.8))


@every_linker
def test_nothing_gives_no_tubes(linker: Linker) -> None:
    assert linker(Detections.empty(), num_frames=20) == []


@every_linker
def test_one_frame_of_a_one_frame_video_is_a_tube(linker: Linker) -> None:
    assert spans(linker(standing([0]), num_frames=1)) == [(0, 0)]


FOURTHS = st.integers(0, 6).map(lambda n: n / 4)
ROWS = st.lists(
    st.tuples(st.integers(0, 7), FOURTHS, st.integers(0, 1), st.sampled_from([0.2, 0.6, 0.8])), min_size=1, max_size=20
)


@every_linker
@settings(max_examples=25)
@given(rows=ROWS, random=st.randoms(use_true_random=False))
def test_tubes_are_valid_and_do_not_depend_on_the_order_of_the_detections(
    linker: Linker, rows: list, random: object
) -> None:
    linker = replace(linker, min_length=2)
    found = detections(*((frame, (x, 0.0, x + 1, 1.0), label, score) for frame, x, label, score in rows))
    order = list(range(len(rows)))
    random.shuffle(order)
    tubes = linker(found, num_frames=8)
    assert contents(tubes) == contents(linker(found[np.array(order)], num_frames=8))
    assert [tube.id for tube in tubes] == list(range(len(tubes)))
    assert [tube.label for tube in tubes] == sorted(tube.label for tube in tubes)
    for tube in tubes:
        assert np.isfinite(tube.score)
        assert np.diff(tube.frames).tolist() == [1] * (len(tube) - 1)
        assert 2 <= len(tube) <= 8
        assert tube.frames[-1] < 8


@pytest.mark.parametrize(("name", "max_gap"), [("default", 10), ("online", 3), ("act", 4), ("viterbi", 10)])
def test_each_linker_bridges_its_longest_gap_and_no_longer_one(name: str, max_gap: int) -> None:
    linker = replace(LINKERS[name], trim=TRIMMERS["none"])
    for num_missed, expected in [
        (max_gap, [(0, 39 + max_gap)]),
        (max_gap + 1, [(0, 19), (21 + max_gap, 40 + max_gap)]),
    ]:
        found = standing([*range(20), *range(20 + num_missed, 40 + num_missed)])
        assert spans(linker(found, num_frames=100)) == expected


def test_boxes_and_scores_in_a_gap_are_interpolated() -> None:
    moved = tuple(np.array(ACTOR) + 6)
    (tube,) = PLAIN(detections((0, ACTOR, 0, 0.2), (3, moved, 0, 0.8)), num_frames=4)
    np.testing.assert_array_equal(tube.boxes, np.float32(ACTOR) + np.float32([[0], [2], [4], [6]]))
    assert tube.score == pytest.approx(0.5)


@pytest.mark.parametrize(("gap_weight", "expected"), [(1.0, 0.8), (0.5, 0.6), (0.0, 0.4)])
def test_frames_without_a_box_count_by_the_gap_weight(gap_weight: float, expected: float) -> None:
    (tube,) = replace(PLAIN, gap_weight=gap_weight)(standing([0, 3]), num_frames=4)
    assert tube.score == pytest.approx(expected)


def test_tubes_shorter_than_min_length_are_dropped_unless_the_video_is() -> None:
    linker = replace(PLAIN, min_length=10)
    assert linker(standing(range(9)), num_frames=30) == []
    assert spans(linker(standing(range(10)), num_frames=30)) == [(0, 9)]
    assert spans(linker(standing(range(9)), num_frames=9)) == [(0, 8)]


def test_parts_that_trimming_leaves_too_short_are_dropped() -> None:
    found = Detections.concatenate([standing(range(12), 0.9), standing(range(12, 24), 0.1), standing([24], 0.9)])
    linker = replace(PLAIN, trim=replace(TRIMMERS["dual_label"], alpha=0.1), min_length=2)
    assert spans(linker(found, num_frames=30)) == [(0, 11)]


def test_a_path_may_become_several_tubes() -> None:
    found = [standing(range(12), 0.9), standing(range(12, 24), 0.1), standing(range(24, 36), 0.7)]
    tubes = replace(PLAIN, trim=TRIMMERS["dual_label"])(Detections.concatenate(found), num_frames=36)
    assert spans(tubes) == [(0, 11), (24, 35)]
    assert [(tube.id, tube.score) for tube in tubes] == [(0, pytest.approx(0.9)), (1, pytest.approx(0.7))]


def test_tubes_below_min_score_are_dropped() -> None:
    both = Detections.concatenate([standing(range(9), 0.3), standing(range(9), 0.2, label=1)])
    assert [tube.label for tube in replace(PLAIN, min_score=0.25)(both, num_frames=9)] == [0]


@pytest.mark.parametrize(("num_top_scores", "expected"), [(10, 0.8), (40, 0.75), (None, 0.7)])
def test_a_tube_is_scored_by_its_best_frames(num_top_scores: int | None, expected: float) -> None:
    found = Detections.concatenate([standing(range(30), 0.6), standing(range(30, 60), 0.8)])
    (tube,) = replace(PLAIN, num_top_scores=num_top_scores)(found, num_frames=60)
    assert tube.score == pytest.approx(expected)


@pytest.mark.parametrize(("nms_iou", "expected"), [(None, [0.6, 0.9, 0.5]), (0.5, [0.9, 0.5]), (0.9, [0.6, 0.9, 0.5])])
def test_tubes_that_overlap_a_better_one_of_their_class_are_dropped(
    nms_iou: float | None, expected: list[float]
) -> None:
    shifted = (20.0, 10.0, 60.0, 90.0)  # IoU 0.6 with ACTOR
    rows = [(frame, box, label, score) for frame in range(9) for box, label, score in [
        (ACTOR, 0, 0.6), (shifted, 0, 0.9), (ACTOR, 1, 0.5)]]  # fmt: skip
    linker = replace(PLAIN, candidates=Candidates(nms_iou=1.0), nms_iou=nms_iou)
    tubes = linker(detections(*rows), num_frames=9)
    assert sorted(tube.score for tube in tubes) == pytest.approx(sorted(expected))
    assert [tube.id for tube in tubes] == list(range(len(expected)))


def test_detections_are_not_changed() -> None:
    found = standing(range(20))
    before = [array.copy() for array in (found.frames, found.boxes, found.labels, found.scores)]
    LINKERS["default"](found, num_frames=20)
    for array, as_before in zip((found.frames, found.boxes, found.labels, found.scores), before, strict=True):
        np.testing.assert_array_equal(array, as_before)


@every_linker
def test_videos_linked_together_give_what_each_gives_alone(linker: Linker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker_module, "MAX_BOXES_AT_ONCE", 50)
    found = {
        "a": Detections.concatenate([standing(range(20)), standing(range(30), 0.6, label=3)]),
        "b": standing(range(5, 25), 0.7),
        "short": standing(range(4)),
    }
    num_frames = {"a": 30, "nothing": 9, "b": 40, "short": 4}
    together = link_videos(linker, found, num_frames)
    assert list(together) == ["a", "nothing", "b", "short"]
    assert together["nothing"] == []
    for key, of_video in found.items():
        assert contents(together[key]) == contents(linker(of_video, num_frames=num_frames[key]))


def test_no_videos_give_no_tubes() -> None:
    assert link_videos(LINKERS["default"], {}, {}) == {}


def test_detections_of_an_unknown_video_are_refused() -> None:
    with pytest.raises(AnnotationError, match="1 unknown videos, such as b: give their num_frames"):
        link_videos(LINKERS["default"], {"b": standing([0])}, {"a": 4})


def test_a_detection_outside_the_video_is_refused() -> None:
    with pytest.raises(ShapeError, match="frame 5 of 0 to 4; are its frames 1-based"):
        LINKERS["default"](standing([5]), num_frames=5)
    with pytest.raises(ShapeError, match="video a: a detection is on frame 5 of 0 to 4"):
        link_videos(LINKERS["default"], {"a": standing([5])}, {"a": 5})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_length": 0}, "min_length 0"),
        ({"min_score": -1.0}, "min_score -1.0"),
        ({"num_top_scores": 0}, "num_top_scores 0"),
        ({"gap_weight": 1.5}, "gap_weight 1.5"),
        ({"nms_iou": -0.5}, "nms_iou -0.5"),
    ],
)
def test_impossible_parameters_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PLAIN, **options)


def test_the_name_of_a_step_is_not_a_step() -> None:
    linker = copy(PLAIN)
    object.__setattr__(linker, "trim", "none")  # the constructor's types are checked in tests alone
    with pytest.raises(ConfigError, match="trim 'none': give the step itself"):
        linker.__post_init__()


@pytest.mark.data
@pytest.mark.parametrize(
    ("size", "at_least"),
    [("small", {0.2: 50.2, 0.5: 29.8, 0.75: 7.4}), ("medium", {0.2: 54.5, 0.5: 34.7, 0.75: 12.3})],
)
def test_the_default_linker_beats_the_best_of_the_peers(shared: Path, size: str, at_least: dict[float, float]) -> None:
    data = read_detections(shared / f"oracles/oracle_{size}.npz")
    videos = data.annotations.videos
    tubes = link_videos(LINKERS["default"], data.detections, {video.key: video.num_frames for video in videos})
    for threshold, percent in at_least.items():
        assert 100 * video_map(videos, tubes, len(data.annotations.classes), threshold).mean > percent
