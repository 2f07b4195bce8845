"""The accuracy of actors against a brute force, and on cases worked out by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.metrics.actor_accuracy import (
    ACTOR_ACCURACY,
    WORST_GROUP_ACCURACY,
    ActorAccuracy,
    actor_accuracy,
    describe_actor_accuracy,
    taken_for,
)
from stal.metrics.matching import NOTHING
from stal.metrics.overlaps import frame_overlaps
from stal.metrics.protocol import VOC
from stal.metrics.resampling import draw_videos
from stal.metrics.tables import Tables, make_tables
from stal.ops.boxes import pairwise_iou
from stal.structures import Detections, Tube, Video

NUM_CLASSES = 3
NUM_FRAMES = 4
BOX = np.array([0, 0, 4, 4], np.float32)
World = tuple[list[Video], dict[str, Detections]]


def random_world(seed: int) -> World:
    """A few videos of three scenes or none, with boxes that overlap by all there is, and scores full of ties."""
    random = np.random.default_rng(seed)
    videos, detections = [], {}
    for key in "abcdef"[: random.integers(1, 7)]:
        tubes = []
        for id in range(random.integers(0, 4)):
            frames = np.flatnonzero(random.random(NUM_FRAMES) < 0.7)
            frames = frames if len(frames) else np.array([1])
            tubes.append(Tube(int(random.integers(NUM_CLASSES)), frames, boxes_near(random, len(frames)), id=id))
        scene = [None, "beach", "gym", "pool"][random.integers(4)]
        videos.append(Video(key, Path(key), NUM_FRAMES, 20, 20, tubes=tuple(tubes), scene=scene))
        num = int(random.integers(0, 25))
        detections[key] = Detections(
            random.integers(0, NUM_FRAMES, num),
            boxes_near(random, num),
            random.integers(0, NUM_CLASSES, num),
            random.choice([-0.5, 0.25, 0.5], num),
        )
    return videos, detections


def boxes_near(random: np.random.Generator, num: int) -> np.ndarray:
    return (BOX + random.integers(0, 3, (num, 1))).astype(np.float32)


def tables_of(world: World) -> Tables:
    videos, detections = world
    return make_tables(videos, NUM_CLASSES, detections=detections)


def accuracy_of(world: World, num_draws: int = 0, **options: Any) -> ActorAccuracy:
    tables = tables_of(world)
    counts = draw_videos(len(tables.num_frames), num_draws, 0)
    return actor_accuracy(tables, frame_overlaps(tables, VOC.frame), counts, **options)


def taken_plainly(world: World) -> list[int]:
    """Return the class that each tube is taken for, detection by detection."""
    taken = []
    for video in world[0]:
        found = world[1][video.key]
        for tube in video.tubes:
            sums: dict[int, float] = {}
            for frame, box in zip(tube.frames, tube.boxes, strict=True):
                for d in np.flatnonzero(found.frames == frame):
                    if pairwise_iou(found.boxes[d : d + 1], box[None])[0, 0] >= 0.5:
                        sums[int(found.labels[d])] = sums.get(int(found.labels[d]), 0) + found.scores[d]
            taken.append(max(sorted(sums), key=lambda label: sums[label]) if sums else NOTHING)
    return taken


def groups_plainly(world: World) -> dict[tuple[int, str], list[bool]]:
    """Return whether each tube is right, by action and scene."""
    taken = iter(taken_plainly(world))
    groups: dict[tuple[int, str], list[bool]] = {}
    for video in world[0]:
        for tube in video.tubes:
            right = next(taken) == tube.label
            if video.scene is not None:
                groups.setdefault((tube.label, video.scene), []).append(right)
    return groups


def repeated(world: World, counts: np.ndarray) -> World:
    """A world in which every video stands so many times, each time under another key."""
    copies = [(v, f"{v.key}{copy}") for v, count in zip(world[0], counts, strict=True) for copy in range(int(count))]
    return [replace(video, key=key) for video, key in copies], {key: world[1][video.key] for video, key in copies}


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_the_numbers_are_those_of_a_brute_force(seed: int, min_tubes: int) -> None:
    world = random_world(seed)
    tables = tables_of(world)
    taken = taken_for(tables, frame_overlaps(tables, VOC.frame))
    assert taken.tolist() == taken_plainly(world)
    found = accuracy_of(world, min_tubes=min_tubes)
    right = [t == tube.label for t, tube in zip(taken, (t for v in world[0] for t in v.tubes), strict=True)]
    assert found.num_not_found == (taken == NOTHING).sum()
    np.testing.assert_allclose(found.accuracies[ACTOR_ACCURACY], [np.mean(right) if right else np.nan])

    groups = groups_plainly(world)
    large = {group: np.mean(hits) for group, hits in sorted(groups.items()) if len(hits) >= min_tubes}
    assert (found.groups, found.num_groups_left_out) == (tuple(large), len(groups) - len(large))
    np.testing.assert_allclose(found.accuracies[WORST_GROUP_ACCURACY], [min(large.values(), default=np.nan)])
    if large:
        worst = min(large, key=lambda group: large[group])
        assert found.worst_group == (*worst, len(groups[worst]))
    else:
        assert found.worst_group is None


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_every_draw_equals_an_evaluation_of_repeated_videos(seed: int) -> None:
    world = random_world(seed)
    found = accuracy_of(world, num_draws=4, min_tubes=2)
    groups = {group for group, hits in groups_plainly(world).items() if len(hits) >= 2}
    counts = draw_videos(len(world[0]), 4, 0)
    for draw in range(counts.shape[1]):
        drawn = repeated(world, counts[:, draw])
        of_drawn = accuracy_of(drawn).accuracies[ACTOR_ACCURACY]
        np.testing.assert_allclose(found.accuracies[ACTOR_ACCURACY][draw], of_drawn[0])
        # The groups are those of the videos as they are; in a draw, one may be smaller.
        hits = [np.mean(hits) for group, hits in groups_plainly(drawn).items() if group in groups]
        np.testing.assert_allclose(found.accuracies[WORST_GROUP_ACCURACY][draw], min(hits, default=np.nan))


def one_actor(found: list[tuple[int, np.ndarray, int, float]], frames: tuple[int, ...] = (0, 1)) -> World:
    """One actor of class 1, and detections (frame, box, class, score)."""
    tube = Tube(1, np.array(frames), np.tile(BOX, (len(frames), 1)))
    detections = Detections(
        np.array([d[0] for d in found], np.int64),
        np.array([d[1] for d in found], np.float32).reshape(-1, 4),
        np.array([d[2] for d in found], np.int64),
        np.array([d[3] for d in found], np.float64),
    )
    return [Video("v", Path("v"), NUM_FRAMES, 20, 20, tubes=(tube,))], {"v": detections}


HALF = np.array([0, 0, 4, 2], np.float32)  # an IoU of exactly 0.5
LESS = np.array([0, 0, 4, 1.9], np.float32)


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        ([], NOTHING),
        ([(0, BOX, 1, 0.1)], 1),
        ([(0, HALF, 1, 0.1)], 1),
        ([(0, LESS, 1, 0.9)], NOTHING),
        ([(0, LESS, 0, 0.9), (0, HALF, 1, 0.1)], 1),
        ([(2, BOX, 1, 0.9)], NOTHING),  # the actor is not there any more
        ([(0, BOX, 0, 0.5), (0, BOX, 1, 0.3), (1, BOX, 1, 0.3)], 1),  # surest on no frame, but in sum
        ([(0, BOX, 2, 0.5), (0, BOX, 1, 0.5)], 1),  # the first of equal ones
        ([(0, BOX, 2, -3.0)], 2),  # logits
        ([(0, BOX, 2, -3.0), (0, BOX, 1, -2.0)], 1),
    ],
)
def test_an_actor_is_taken_for_the_class_of_the_largest_sum_of_scores_on_it(found: list, taken: int) -> None:
    world = one_actor(found)
    tables = tables_of(world)
    assert taken_for(tables, frame_overlaps(tables, VOC.frame)).tolist() == [taken]
    assert accuracy_of(world).accuracies[ACTOR_ACCURACY] == [float(taken == 1)]


def groups_of(**accuracies: tuple[int, int]) -> World:
    """Actors of class 1, one a video, of whom (right, wrong) are seen in each scene."""
    videos, detections = [], {}
    for scene, (right, wrong) in accuracies.items():
        for number in range(right + wrong):
            (video,), found = one_actor([(0, BOX, 1 if number < right else 2, 0.5)])
            key = f"{scene}{number}"
            videos.append(replace(video, key=key, scene=None if scene == "unknown" else scene))
            detections[key] = found["v"]
    return videos, detections


def test_the_worst_group_is_reported_with_its_size_and_what_was_left_out() -> None:
    found = accuracy_of(groups_of(beach=(14, 1), gym=(6, 9), pool=(0, 14), unknown=(0, 9)))
    assert found.accuracies[ACTOR_ACCURACY] == [20 / 53]
    assert found.accuracies[WORST_GROUP_ACCURACY] == [0.4]
    described = describe_actor_accuracy(found, ("run", "jump", "swim"))
    assert described == {
        "chance": pytest.approx(100 / 3),
        "majority": 100,
        "iou_threshold": 0.5,
        "num_not_found": 0,
        "worst_group": {"action": "jump", "scene": "gym", "num_tubes": 15},
        "num_groups": 2,
        "num_groups_left_out": 1,
        "min_tubes": 15,
    }


@pytest.mark.parametrize(
    "world",
    [groups_of(unknown=(3, 3)), groups_of(gym=(13, 1)), groups_of(), (groups_of(gym=(8, 7))[0], {})],
    ids=["no scenes", "small groups", "no videos", "no detections"],
)
def test_what_is_not_there_is_not_defined_and_nothing_found_is_wrong(world: World) -> None:
    found = accuracy_of(world, num_draws=3)
    has_group = len(world[0]) == 15
    assert np.isnan(found.accuracies[WORST_GROUP_ACCURACY]).all() == (not has_group)
    assert np.isnan(found.accuracies[ACTOR_ACCURACY]).all() == (not world[0])
    assert (found.worst_group is None) == (not has_group)
    if has_group:
        assert not found.accuracies[WORST_GROUP_ACCURACY].any()


def test_tables_without_scenes_have_no_groups() -> None:
    tables = replace(tables_of(groups_of(gym=(5, 0))), scenes=None)
    counts = draw_videos(len(tables.num_frames), 0, 0)
    found = actor_accuracy(tables, frame_overlaps(tables, VOC.frame), counts)
    assert found.worst_group is None
    assert found.accuracies[ACTOR_ACCURACY] == [1]


@pytest.mark.parametrize(
    ("labels", "majority"), [([], None), ([2], 100), ([0, 1, 2], 100 / 3), ([0, 1, 1, 2, 1], 60), ([1, 2, 2, 1], 50)]
)
def test_the_majority_is_the_share_of_the_most_common_class(labels: list[int], majority: float | None) -> None:
    tubes = tuple(Tube(label, np.array([0]), BOX[None], id=id) for id, label in enumerate(labels))
    found = accuracy_of(([Video("v", Path("v"), NUM_FRAMES, 20, 20, tubes=tubes)], {}))
    assert describe_actor_accuracy(found, ("run", "jump", "swim"))["majority"] == pytest.approx(majority)
