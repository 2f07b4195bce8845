import numpy as np
import pytest

from stal.errors import ConfigError, ShapeError
from stal.linking.merging import merge_in_order, merge_tubelets
from stal.structures import Detections

ACTOR = (10.0, 10.0, 50.0, 90.0)


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


def random_windows(starts: list[int], length: int, seed: int) -> list[tuple]:
    rng = np.random.default_rng(seed)
    windows = []
    for start in starts:
        num_boxes = int(rng.integers(0, 4))
        corner = rng.uniform(0, 30, (num_boxes, length, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(20, 40, corner.shape)], axis=2).astype(np.float32)
        windows.append((np.arange(start, start + length), boxes, rng.uniform(0, 1, (num_boxes, length, 2))))
    return windows


@pytest.mark.parametrize("starts", [[], [0], [0, 8], [0, 4, 8, 9], [0, 1, 2, 3], [0, 3, 6, 9, 9]])
@pytest.mark.parametrize("seed", range(3))
def test_windows_that_come_one_by_one_give_the_same_detections(starts: list[int], seed: int) -> None:
    windows = random_windows(starts, 8, seed)
    parts = list(merge_in_order(iter(windows)))
    assert [frame for part in parts for frame in part.frames] == list(range(starts[-1] + 8 if starts else 0))
    assert all(np.isin(part.detections.frames, part.frames).all() for part in parts)
    merged = Detections.concatenate([part.detections for part in parts])
    expected = merge_tubelets(windows, num_frames=30)
    for name in ("labels", "frames", "scores", "boxes"):
        order = [np.lexsort((d.boxes[:, 0], d.frames, d.labels)) for d in (merged, expected)]
        np.testing.assert_array_equal(getattr(merged, name)[order[0]], getattr(expected, name)[order[1]])


def test_a_part_is_given_as_soon_as_no_further_window_covers_it() -> None:
    windows = [window(0, (ACTOR, 0.8)), window(2, (ACTOR, 0.4)), window(4, (ACTOR, 0.6))]
    assert [part.frames for part in merge_in_order(windows)] == [range(0, 2), range(2, 4), range(4, 8)]
    live = list(merge_in_order(windows, at_once=True))
    assert [part.frames for part in live] == [range(0, 4), range(4, 6), range(6, 8)]
    assert by_frame(live[1].detections) == {4: 0.4, 5: 0.4}
