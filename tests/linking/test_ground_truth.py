"""Ground truth as detections: every linker gives back the tubes themselves, as far as docs/linking.md says it can."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from stal.data.ground_truth import read_ground_truth
from stal.linking.linker import LINKERS, TRIMMERS, Linker, link_videos
from stal.linking.viterbi import ViterbiLinking
from stal.metrics.video_map import video_map
from stal.ops.boxes import paired_iou, pairwise_iou
from stal.structures import Detections, Tube

MIN_LINK_IOU = 0.2  # the highest that any of the linkers asks for
MAX_REACH = 11  # frames from a box to the next, at most, in any of them
# Viterbi linking as published joins any two boxes; the docs say what that does to actors that follow each other.
WITH_OVERLAP = {"viterbi": ViterbiLinking(iou_threshold=0.1)}
linkers = pytest.mark.parametrize(
    "linker",
    [replace(linker, link=WITH_OVERLAP.get(name, linker.link)) for name, linker in LINKERS.items()],
    ids=LINKERS,
)


def as_detections(tubes: Sequence[Tube]) -> Detections:
    return Detections.concatenate(
        [Detections(t.frames, t.boxes, np.full(len(t), t.label), np.ones(len(t))) for t in tubes]
    )


def contents(tubes: Sequence[Tube]) -> list[tuple]:
    return sorted((t.label, t.frames.tobytes(), t.boxes.tobytes()) for t in tubes)


def walks(label: int, first: int, length: int, x: float, y: float, generator: np.random.Generator) -> Tube:
    """An actor of 30 x 60 pixels on a random walk."""
    corners = np.array([x, y]) + generator.integers(-2, 3, (length, 2)).cumsum(axis=0)
    boxes = np.hstack([corners, corners + np.array([30, 60])]).astype(np.float32)
    return Tube(label, np.arange(first, first + length), boxes)


@linkers
def test_generated_actors_get_their_tubes_back(linker: Linker) -> None:
    generator = np.random.default_rng(0)
    videos = {
        str(number): [
            walks(label, int(first), int(length), 500.0 * place, 0.0, generator)
            for label in (0, 3)
            for place, (first, length) in enumerate(generator.integers((0, 15), (40, 90), (3, 2)))
        ]
        for number in range(20)
    }
    found = {key: as_detections(tubes) for key, tubes in videos.items()}
    linked = link_videos(linker, found, dict.fromkeys(videos, 130))
    for key, tubes in videos.items():
        assert contents(linked[key]) == contents(tubes)
        assert {tube.score for tube in linked[key]} == {1.0}


def moves_smoothly(tube: Tube) -> bool:
    return bool((paired_iou(tube.boxes[1:], tube.boxes[:-1]) >= MIN_LINK_IOU).all())


def stay_apart(a: Tube, b: Tube) -> bool:
    """Whether no box of one is near a box of the other in time and overlaps it."""
    near = np.abs(a.frames[:, None] - b.frames) <= MAX_REACH
    return not (near & (pairwise_iou(a.boxes, b.boxes) > 0)).any()


@pytest.mark.data
@pytest.mark.parametrize(("name", "num_expected"), [("default", 760), ("online", 773), ("act", 749), ("viterbi", 751)])
def test_real_actors_get_their_tubes_back(shared: Path, name: str, num_expected: int) -> None:
    videos = read_ground_truth(shared / "annotations/ucf24/pyannot.pkl").annotations.videos
    linker = replace(LINKERS[name], trim=TRIMMERS["none"])
    linked = link_videos(
        linker,
        {video.key: as_detections(video.tubes) for video in videos},
        {video.key: video.num_frames for video in videos},
    )
    given_back = {video.key for video in videos if contents(linked[video.key]) == contents(video.tubes)}
    assert len(given_back) == num_expected
    assert all(tube.score == 1.0 for key in given_back for tube in linked[key])

    joins_any_boxes = name == "viterbi"
    separable = {
        video.key
        for video in videos
        if all(moves_smoothly(tube) and len(tube) >= linker.min_length for tube in video.tubes)
        and all(not joins_any_boxes and stay_apart(*pair) for pair in combinations(video.tubes, 2))
    }
    assert len(separable) > 650
    assert separable <= given_back


@pytest.mark.data
@pytest.mark.parametrize("name", LINKERS)
@pytest.mark.parametrize("trim", TRIMMERS)
def test_real_actors_who_are_alone_come_back_whole(shared: Path, name: str, trim: str) -> None:
    for split in ("1", "2", "3"):
        annotations = read_ground_truth(shared / "annotations/jhmdb/JHMDB-GT.pkl", split=split).annotations
        linked = link_videos(
            replace(LINKERS[name], trim=TRIMMERS[trim]),
            {video.key: as_detections(video.tubes) for video in annotations.videos},
            {video.key: video.num_frames for video in annotations.videos},
        )
        assert video_map(annotations.videos, linked, len(annotations.classes), 1.0).mean == 1
