"""frame-mAP and video-mAP against plain loops in exact fractions, on random small worlds full of ties and gaps."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.metrics.frame_map import frame_map
from stal.metrics.video_map import video_map
from stal.structures import Detections, Tube, Video

NUM_CLASSES = 3
NUM_FRAMES = 6
Box = tuple[int, int, int, int]
TubeSpec = tuple[int, dict[int, Box], float]  # label, box on each frame, score
BoxSpec = tuple[int, int, Box, float]  # frame, label, box, score
VideoSpec = tuple[list[TubeSpec], list[TubeSpec], list[BoxSpec]]  # ground truth (scores unused), tubes, boxes

THRESHOLDS = st.sampled_from([0.2, 0.5, 0.75, 1.0])
TIED_SCORES = st.sampled_from([0.25, 0.5, 0.75])
FRAMES = st.integers(0, NUM_FRAMES - 1)
BOXES = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 3), st.integers(1, 2)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
TUBES = st.lists(st.tuples(st.integers(0, 1), st.dictionaries(FRAMES, BOXES, min_size=1), TIED_SCORES), max_size=4)
FOUND_BOXES = st.lists(st.tuples(FRAMES, st.integers(0, 2), BOXES, TIED_SCORES), max_size=12)
WORLDS = st.lists(st.tuples(TUBES, TUBES, FOUND_BOXES), max_size=3)


def as_tube(spec: TubeSpec, id: int) -> Tube:
    label, boxes, score = spec
    frames = sorted(boxes)
    return Tube(label, np.array(frames), np.array([boxes[t] for t in frames], np.float32), id=id, score=score)


def as_detections(specs: list[BoxSpec]) -> Detections:
    return Detections(
        np.array([frame for frame, _, _, _ in specs], np.int64),
        np.array([box for _, _, box, _ in specs], np.float32).reshape(-1, 4),
        np.array([label for _, label, _, _ in specs], np.int64),
        np.array([score for _, _, _, score in specs], np.float64),
    )


def build(world: list[VideoSpec]) -> tuple[list[Video], dict[str, Detections], dict[str, list[Tube]]]:
    """Return the videos, their detections and their detected tubes as stal takes them."""
    videos = [
        Video(f"v{i}", Path("v.avi"), NUM_FRAMES, 8, 8, tubes=tuple(as_tube(s, k) for k, s in enumerate(truth)))
        for i, (truth, _, _) in enumerate(world)
    ]
    found = {f"v{i}": as_detections(boxes) for i, (_, _, boxes) in enumerate(world)}
    linked = {f"v{i}": [as_tube(spec, k) for k, spec in enumerate(tubes)] for i, (_, tubes, _) in enumerate(world)}
    return videos, found, linked


def plain_iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def plain_tube_iou(a: dict[int, Box], b: dict[int, Box]) -> float:
    return sum(plain_iou(a[t], b[t]) for t in sorted(a) if t in b) / len(a.keys() | b.keys())


def plain_average_precisions(
    found: list[tuple[Any, int, float, Any]],
    truth: list[tuple[Any, int, Any]],
    overlap: Callable[[Any, Any], float],
    threshold: float,
) -> list[float | None]:
    """AP of each class; `found` are (place, label, score, shape) in the order that breaks ties, `truth` likewise."""
    result: list[float | None] = []
    for label in range(NUM_CLASSES):
        targets = [(place, shape) for place, label_, shape in truth if label_ == label]
        if not targets:
            result.append(None)
            continue
        taken: set[int] = set()
        precisions: list[tuple[Fraction, bool]] = []
        ranked = sorted((item for item in found if item[1] == label), key=lambda item: -item[2])
        for rank, (place, _, _, shape) in enumerate(ranked, start=1):
            best, best_overlap = None, 0.0
            for index, (place_, shape_) in enumerate(targets):
                if place_ == place and overlap(shape, shape_) > best_overlap:
                    best, best_overlap = index, overlap(shape, shape_)
            hit = best is not None and best_overlap >= threshold and best not in taken
            if hit:
                taken.add(best)
            precisions.append((Fraction(len(taken), rank), hit))
        area = Fraction(0)
        for rank, (_, hit) in enumerate(precisions):
            if hit:
                area += max(precision for precision, _ in precisions[rank:]) / len(targets)
        result.append(float(area))
    return result


def assert_same(per_class: np.ndarray, expected: list[float | None]) -> None:
    np.testing.assert_allclose(per_class, [np.nan if ap is None else ap for ap in expected], rtol=0, atol=1e-12)


@given(WORLDS, THRESHOLDS)
def test_frame_map_equals_plain_loops(world: list[VideoSpec], threshold: float) -> None:
    videos, found, _ = build(world)
    listed = [((i, t), label, s, box) for i, (_, _, boxes) in enumerate(world) for t, label, box, s in boxes]
    truth = [((i, t), label, b) for i, (tubes, _, _) in enumerate(world) for label, d, _ in tubes for t, b in d.items()]
    expected = plain_average_precisions(listed, truth, plain_iou, threshold)
    assert_same(frame_map(videos, found, NUM_CLASSES, threshold).per_class, expected)


@given(WORLDS, THRESHOLDS)
def test_video_map_equals_plain_loops(world: list[VideoSpec], threshold: float) -> None:
    videos, _, linked = build(world)
    listed = [(i, label, score, boxes) for i, (_, tubes, _) in enumerate(world) for label, boxes, score in tubes]
    truth = [(i, label, boxes) for i, (tubes, _, _) in enumerate(world) for label, boxes, _ in tubes]
    expected = plain_average_precisions(listed, truth, plain_tube_iou, threshold)
    assert_same(video_map(videos, linked, NUM_CLASSES, threshold).per_class, expected)


@given(WORLDS, THRESHOLDS)
def test_maps_do_not_change_when_scores_are_rescaled_monotonically(world: list[VideoSpec], threshold: float) -> None:
    videos, found, linked = build(world)
    rescaled = {key: replace(d, scores=np.log(d.scores) * 7) for key, d in found.items()}
    relinked = {key: [replace(t, score=float(np.log(t.score) * 7)) for t in ts] for key, ts in linked.items()}
    for compute, before, after in ((frame_map, found, rescaled), (video_map, linked, relinked)):
        np.testing.assert_array_equal(
            compute(videos, before, NUM_CLASSES, threshold).per_class,
            compute(videos, after, NUM_CLASSES, threshold).per_class,
        )


@given(WORLDS, THRESHOLDS, st.permutations(range(48)))
def test_maps_do_not_depend_on_the_order_of_predictions_without_ties(
    world: list[VideoSpec], threshold: float, ranks: list[int]
) -> None:
    videos, found, linked = build(world)
    scores = (float(rank) for rank in ranks)
    found = {key: replace(d, scores=np.array([next(scores) for _ in range(len(d))])) for key, d in found.items()}
    linked = {key: [replace(t, score=next(scores)) for t in ts] for key, ts in linked.items()}
    backwards = {key: d[::-1] for key, d in reversed(found.items())}
    relinked = {key: ts[::-1] for key, ts in reversed(linked.items())}
    for compute, before, after in ((frame_map, found, backwards), (video_map, linked, relinked)):
        expected = compute(videos, before, NUM_CLASSES, threshold).per_class
        np.testing.assert_array_equal(expected, compute(videos, after, NUM_CLASSES, threshold).per_class)
        np.testing.assert_array_equal(expected, compute(videos[::-1], after, NUM_CLASSES, threshold).per_class)


def test_reference_measures_the_tubes_of_the_table() -> None:
    box = (0, 0, 2, 2)
    assert plain_tube_iou({0: box, 1: box}, {1: box, 2: box}) == pytest.approx(1 / 3)
