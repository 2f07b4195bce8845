from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.data.detection_files import read_detections
from stal.errors import ConfigError, ShapeError
from stal.linking import link_online, merge_tubelets
from stal.metrics.video_map import video_map
from stal.structures import Detections, Tube

ACTOR = (10.0, 10.0, 50.0, 90.0)


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


def test_an_actor_seen_on_every_frame_becomes_one_tube() -> None:
    (tube,) = link_online(standing(range(20)), num_frames=20)
    assert tube.frames.tolist() == list(range(20))
    np.testing.assert_array_equal(tube.boxes, np.tile(np.float32(ACTOR), (20, 1)))
    assert (tube.label, tube.score) == (0, pytest.approx(0.8))


def test_nothing_gives_no_tubes() -> None:
    assert link_online(Detections.empty(), num_frames=20) == []


def test_one_frame_of_a_one_frame_video_is_a_tube() -> None:
    assert spans(link_online(standing([0]), num_frames=1)) == [(0, 0)]


@pytest.mark.parametrize(("num_missed", "expected"), [(3, [(0, 13)]), (4, [(0, 4), (9, 14)])])
def test_a_gap_of_max_gap_frames_is_bridged_and_a_longer_one_is_not(
    num_missed: int, expected: list[tuple[int, int]]
) -> None:
    frames = [*range(5), *range(5 + num_missed, 11 + num_missed)]
    tubes = link_online(standing(frames), num_frames=30, max_gap=3, min_length=1)
    assert spans(tubes) == expected
    assert [len(tube) for tube in tubes] == [last - first + 1 for first, last in expected]


def test_boxes_in_a_gap_are_interpolated() -> None:
    moved = tuple(np.array(ACTOR) + 6)
    (tube,) = link_online(detections((0, ACTOR, 0, 0.8), (3, moved, 0, 0.8)), num_frames=4)
    np.testing.assert_array_equal(tube.boxes, np.float32(ACTOR) + np.float32([[0], [2], [4], [6]]))


def test_tubes_shorter_than_min_length_are_dropped_unless_the_video_is() -> None:
    assert link_online(standing(range(9)), num_frames=30, min_length=10) == []
    assert spans(link_online(standing(range(10)), num_frames=30, min_length=10)) == [(0, 9)]
    assert spans(link_online(standing(range(9)), num_frames=9, min_length=10)) == [(0, 8)]


def test_two_actors_that_cross_keep_their_tubes() -> None:
    # One walks right, the other left and surer; they overlap in the middle but never by 0.5 of the next box.
    rows = []
    for frame in range(20):
        rows.append((frame, (8.0 * frame, 0.0, 8.0 * frame + 40, 100.0), 0, 0.7))
        rows.append((frame, (152 - 8.0 * frame, 0.0, 192 - 8.0 * frame, 60.0), 0, 0.9))
    tubes = link_online(detections(*rows), num_frames=20, iou_threshold=0.5, nms_iou=0.9)
    assert spans(tubes) == [(0, 19), (0, 19)]
    left_to_right = [tube.boxes[-1, 0] - tube.boxes[0, 0] for tube in sorted(tubes, key=lambda tube: tube.score)]
    assert left_to_right == [152, -152]


def test_the_path_with_the_higher_mean_takes_the_surest_box_first() -> None:
    shifted = tuple(np.array(ACTOR) + 8)
    rows = [(0, ACTOR, 0, 0.9), (0, shifted, 0, 0.5), (1, ACTOR, 0, 0.3), (1, shifted, 0, 0.8)]
    tubes = link_online(detections(*rows), num_frames=2, nms_iou=0.99, trim=0.0)
    by_score = sorted(tubes, key=lambda tube: -tube.score)
    assert [tube.score for tube in by_score] == [pytest.approx(0.85), pytest.approx(0.4)]


def test_classes_are_linked_apart() -> None:
    both = Detections.concatenate([standing(range(20), label=2), standing(range(20), label=1)])
    assert [(tube.label, tube.id) for tube in link_online(both, num_frames=20)] == [(1, 0), (2, 1)]


def test_boxes_below_min_score_neither_start_nor_extend_a_tube() -> None:
    found = Detections.concatenate([standing(range(20)), standing(range(20, 40), score=0.009)])
    assert spans(link_online(found, num_frames=40, trim=0.0)) == [(0, 19)]


@pytest.mark.parametrize(("trim", "expected"), [(0.0, (0, 39)), (0.6, (10, 29))])
def test_trimming_cuts_ends_that_score_low(trim: float, expected: tuple[int, int]) -> None:
    found = [standing(range(10), 0.2), standing(range(10, 30), 0.8), standing(range(30, 40), 0.2)]
    assert spans(link_online(Detections.concatenate(found), num_frames=40, trim=trim)) == [expected]


def test_trimming_keeps_a_short_dip_inside() -> None:
    found = [standing(range(15), 0.8), standing(range(15, 18), 0.2), standing(range(18, 33), 0.8)]
    assert spans(link_online(Detections.concatenate(found), num_frames=40)) == [(0, 32)]


def test_a_tube_is_scored_by_its_best_forty_boxes() -> None:
    found = Detections.concatenate([standing(range(30), 0.6), standing(range(30, 60), 0.8)])
    (tube,) = link_online(found, num_frames=60, trim=0.0)
    assert tube.score == pytest.approx((30 * 0.8 + 10 * 0.6) / 40)


def test_only_the_best_top_k_boxes_of_a_class_are_linked() -> None:
    apart = [(frame, (50.0 * i, 0.0, 50.0 * i + 20, 20.0), 0, 0.5 + 0.1 * i) for frame in range(20) for i in range(4)]
    tubes = link_online(detections(*apart), num_frames=20, top_k=2)
    assert sorted(round(tube.score, 6) for tube in tubes) == [0.7, 0.8]


CORNERS = st.integers(0, 3).map(float)


@given(
    st.lists(st.tuples(st.integers(0, 7), CORNERS, st.integers(0, 1), st.sampled_from([0.2, 0.5, 0.8])), max_size=20),
    st.randoms(use_true_random=False),
)
def test_tubes_do_not_depend_on_the_order_of_the_detections(rows: list, random: object) -> None:
    if not rows:
        return
    found = detections(*((frame, (x, 0.0, x + 4, 4.0), label, score) for frame, x, label, score in rows))
    order = list(range(len(rows)))
    random.shuffle(order)
    options = {"num_frames": 8, "min_length": 1, "max_gap": 2, "nms_iou": 0.7}
    one, other = (link_online(d, **options) for d in (found, found[np.array(order)]))
    assert [(t.label, t.score, t.frames.tolist(), t.boxes.tolist()) for t in one] == [
        (t.label, t.score, t.frames.tolist(), t.boxes.tolist()) for t in other
    ]


@pytest.mark.parametrize("options", [{"min_score": 0.0}, {"trim": 1.0}, {"trim": -0.1}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        link_online(standing([0]), num_frames=1, **options)


def test_a_detection_outside_the_video_is_refused() -> None:
    with pytest.raises(ShapeError, match="frame 5 of 0 to 4"):
        link_online(standing([5]), num_frames=5)


def window(first_frame: int, *tubelets: tuple[tuple[float, ...], float], num_classes: int = 1) -> tuple:
    """A window whose tubelets stand still and are of class 0."""
    length = 4
    scores = np.zeros((len(tubelets), length, num_classes))
    boxes = np.zeros((len(tubelets), length, 4), np.float32)
    for row, (box, score) in enumerate(tubelets):
        boxes[row], scores[row, :, 0] = box, score
    return np.arange(first_frame, first_frame + length), boxes, scores


def by_frame(found: Detections) -> dict[int, float]:
    return dict(zip(found.frames.tolist(), found.scores.round(6).tolist(), strict=True))


def test_one_window_gives_its_boxes_on_every_frame() -> None:
    found = merge_tubelets([window(2, (ACTOR, 0.8))], num_frames=10)
    assert by_frame(found) == {2: 0.8, 3: 0.8, 4: 0.8, 5: 0.8}
    np.testing.assert_array_equal(found.boxes, np.tile(np.float32(ACTOR), (4, 1)))


@pytest.mark.parametrize("windows", [[], [window(0)], [window(0), window(2)]])
def test_no_tubelets_give_no_detections(windows: list) -> None:
    assert len(merge_tubelets(windows, num_frames=10)) == 0


def test_boxes_of_one_actor_from_two_windows_become_their_weighted_mean() -> None:
    shifted = tuple(np.array(ACTOR) + 4)
    found = merge_tubelets([window(0, (ACTOR, 0.9)), window(2, (shifted, 0.3))], num_frames=6)
    assert by_frame(found) == {0: 0.9, 1: 0.9, 2: 0.6, 3: 0.6, 4: 0.3, 5: 0.3}
    merged = found.boxes[(found.frames == 2) | (found.frames == 3)]
    np.testing.assert_allclose(merged, np.tile(np.float32(ACTOR) + 1, (2, 1)), rtol=1e-6)


def test_what_one_window_of_two_sees_scores_half() -> None:
    found = merge_tubelets([window(0, (ACTOR, 0.8)), window(2)], num_frames=6)
    assert by_frame(found) == {0: 0.8, 1: 0.8, 2: 0.4, 3: 0.4}


def test_two_tubelets_of_one_window_do_not_add_up() -> None:
    found = merge_tubelets([window(0, (ACTOR, 0.8), (ACTOR, 0.6))], num_frames=4)
    assert by_frame(found) == {0: 0.8, 1: 0.8, 2: 0.8, 3: 0.8}


def test_two_actors_and_two_classes_stay_apart() -> None:
    frames, boxes, scores = window(0, (ACTOR, 0.8), ((60.0, 0.0, 90.0, 90.0), 0.6), num_classes=2)
    scores[0, :, 1] = 0.5
    found = merge_tubelets([(frames, boxes, scores)], num_frames=4)
    assert np.bincount(found.labels).tolist() == [8, 4]
    assert sorted(set(found.scores.tolist())) == [0.5, 0.6, 0.8]


@pytest.mark.parametrize(
    "nothing", [(160.0, 10.0, 160.0, 20.0), (10.0, 0.0, 20.0, 0.0), (0.0, 0.0, 0.0, 0.0), (20.0, 20.0, 10.0, 10.0)]
)
def test_boxes_without_area_are_no_detections(nothing: tuple[float, ...]) -> None:
    found = merge_tubelets([window(0, (ACTOR, 0.8), (nothing, 0.9)), window(2, (nothing, 0.9))], num_frames=6)
    assert by_frame(found) == {0: 0.8, 1: 0.8, 2: 0.4, 3: 0.4}  # the second window covers the frames all the same
    assert len(merge_tubelets([window(0, (nothing, 0.9))], num_frames=4)) == 0


def test_a_mean_that_is_rounded_to_no_area_is_no_detection() -> None:
    left, right = np.nextafter(np.float32(160), np.float32([0, 200]))
    slivers = (left, 0.0, 160.0, 10.0), (160.0, 0.0, right, 10.0)
    found = merge_tubelets([window(0, (slivers[0], 0.5), (slivers[1], 0.5))], num_frames=4, nms_iou=0.0)
    assert len(found) == 0


def test_a_box_that_is_not_a_number_is_an_error_and_not_dropped() -> None:
    with pytest.raises(ShapeError, match="nan"):
        merge_tubelets([window(0, ((float("nan"), 0.0, 9.0, 9.0), 0.9))], num_frames=4)


@pytest.mark.parametrize("frames", [[0, 0, 1, 2], [3, 2, 1, 0], [-1, 0, 1, 2], [7, 8, 9, 10]])
def test_windows_with_impossible_frames_are_refused(frames: list[int]) -> None:
    _, boxes, scores = window(0, (ACTOR, 0.8))
    with pytest.raises(ShapeError, match="must strictly increase within 0 to 9"):
        merge_tubelets([(np.array(frames), boxes, scores)], num_frames=10)


def test_merging_needs_a_positive_min_score() -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        merge_tubelets([], num_frames=10, min_score=0.0)


@pytest.mark.data
def test_video_map_of_linked_oracle_detections(shared: Path) -> None:
    annotations, found, _ = read_detections(shared / "oracles/oracle_small.npz")
    tubes = {video.key: link_online(found[video.key], num_frames=video.num_frames) for video in annotations.videos}
    assert video_map(annotations.videos, tubes, len(annotations.classes)).mean > 0.40
