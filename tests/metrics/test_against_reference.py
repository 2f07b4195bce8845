"""frame-mAP and video-mAP against plain loops in exact fractions, under any rules, on small worlds of ties and gaps."""

from dataclasses import fields, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.metrics import overlaps
from stal.metrics.frame_map import frame_map
from stal.metrics.overlaps import frame_overlaps
from stal.metrics.protocol import VOC, FrameRules, Rules, VideoRules
from stal.metrics.tables import make_tables
from stal.metrics.video_map import video_map
from stal.structures import Detections, Tube, Video

NUM_CLASSES = 3
NUM_FRAMES = 6
Box = tuple[float, float, float, float]
TubeSpec = tuple[int, dict[int, Box], float]  # label, box on each frame, score
BoxSpec = tuple[int, int, Box, float]  # frame, label, box, score
VideoSpec = tuple[list[TubeSpec], list[TubeSpec], list[BoxSpec]]  # ground truth (scores unused), tubes, boxes

THRESHOLDS = st.sampled_from([0.2, 0.5, 0.75, 1.0])
TIED_SCORES = st.sampled_from([0.25, 0.5, 0.75])
FRAMES = st.integers(0, NUM_FRAMES - 1)
BOXES = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(1, 6), st.integers(1, 4)).map(
    lambda b: (b[0] / 2, b[1] / 2, (b[0] + b[2]) / 2, (b[1] + b[3]) / 2)  # halves test the rounding
)
TUBES = st.lists(st.tuples(st.integers(0, 1), st.dictionaries(FRAMES, BOXES, min_size=1), TIED_SCORES), max_size=4)
FOUND_BOXES = st.lists(st.tuples(FRAMES, st.integers(0, 2), BOXES, TIED_SCORES), max_size=12)
SHARED_RULES: dict[str, st.SearchStrategy[Any]] = {
    "pixels": st.sampled_from(["continuous", "inclusive"]),
    "rounded": st.booleans(),
    "matching": st.sampled_from(["best_of_all", "best_of_free"]),
    "threshold": st.sampled_from(["at_least", "above"]),
    "area": st.sampled_from(["envelope", "trapezoid", "envelope_trapezoid", "eleven_points"]),
    "absent_classes": st.sampled_from(["left_out", "zero"]),
    "extra_truth": st.sampled_from([0.0, 0.25]),
}
FRAME_RULES = st.builds(
    FrameRules,
    detections_on=st.sampled_from(["all", "annotated"]),
    truth_on=st.sampled_from(["all", "detected"]),
    min_truth_area=st.sampled_from([0.0, 1.0]),
    **SHARED_RULES,
)
VIDEO_RULES = st.builds(
    VideoRules,
    temporal_iou=st.sampled_from(["frame_sets", "first_to_last", "excluding_last"]),
    one_frame_overlap=st.sampled_from(["counts", "nothing"]),
    nms_iou=st.sampled_from([None, 0.3]),
    **SHARED_RULES,
)
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


class Item(NamedTuple):
    """A box or a tube, with the place (frame or video) in which it may meet others."""

    place: Any
    label: int
    score: float
    shape: Any


def measured(box: Box, rules: Rules, half_open: bool) -> Box:
    x1, y1, x2, y2 = box
    if rules.pixels == "inclusive" and half_open:
        x2, y2 = x2 - 1, y2 - 1
    if rules.rounded:
        x1, y1, x2, y2 = (float(round(side)) for side in (x1, y1, x2, y2))
    return (x1, y1, x2 + 1, y2 + 1) if rules.pixels == "inclusive" else (x1, y1, x2, y2)


def plain_iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def plain_tube_iou(a: dict[int, Box], b: dict[int, Box], rules: VideoRules) -> float:
    common = sorted(a.keys() & b.keys())
    overlap = sum(plain_iou(a[t], b[t]) for t in common)
    shared = min(max(a), max(b)) - max(min(a), min(b)) + 1
    whole = max(max(a), max(b)) - min(min(a), min(b)) + 1
    if not common or (rules.one_frame_overlap == "nothing" and shared <= 1):
        return 0.0
    if rules.temporal_iou == "frame_sets":
        return overlap / len(a.keys() | b.keys())
    if rules.temporal_iou == "excluding_last":
        shared, whole = shared - 1, whole - 1
    return overlap / len(common) * shared / whole if whole else 0.0


def plain_overlap(a: Any, b: Any, rules: Rules) -> float:
    return plain_tube_iou(a, b, rules) if isinstance(rules, VideoRules) else plain_iou(a, b)


def plain_hits(ranked: list[Item], targets: list[Item], threshold: float, rules: Rules) -> list[bool]:
    taken: set[int] = set()
    hits = []
    for item in ranked:
        best, best_overlap = None, 0.0
        for index, target in enumerate(targets):
            if target.place != item.place or (rules.matching == "best_of_free" and index in taken):
                continue
            overlap = plain_overlap(item.shape, target.shape, rules)
            if overlap > best_overlap:
                best, best_overlap = index, overlap
        enough = best_overlap > threshold if rules.threshold == "above" else best_overlap >= threshold
        hit = best is not None and enough and best not in taken
        hits.append(hit)
        if hit:
            taken.add(best)
    return hits


def plain_area(hits: list[bool], num_truth: Fraction, area: str) -> Fraction:
    precisions = [Fraction(sum(hits[:n]), n) for n in range(1, len(hits) + 1)]
    recalls = [sum(hits[:n]) / num_truth for n in range(1, len(hits) + 1)]
    if not hits:
        return Fraction(0)
    if area == "eleven_points":
        best = (
            max((p for p, r in zip(precisions, recalls, strict=True) if r >= Fraction(i, 10)), default=Fraction(0))
            for i in range(11)
        )
        return Fraction(sum(best), 11)
    points = [(Fraction(0), Fraction(1)), *zip(recalls, precisions, strict=True)]
    if area == "envelope_trapezoid":
        points.append((Fraction(1), Fraction(0)))
    if area != "trapezoid":
        points = [(r, max(p for _, p in points[i:])) for i, (r, _) in enumerate(points)]
    flat = area == "envelope"
    return sum(((r - r0) * (p if flat else (p0 + p) / 2) for (r0, p0), (r, p) in pairwise(points)), Fraction(0))


def plain_average_precisions(
    found: list[Item], truth: list[Item], threshold: float, rules: Rules
) -> list[float | None]:
    """AP of each class; `found` are in the order that breaks ties."""
    result: list[float | None] = []
    for label in range(NUM_CLASSES):
        targets = [item for item in truth if item.label == label]
        ranked = sorted((item for item in found if item.label == label), key=lambda item: -item.score)
        if targets:
            hits = plain_hits(ranked, targets, threshold, rules)
            area = plain_area(hits, len(targets) + Fraction(rules.extra_truth), rules.area)
            result.append(float(area))
        else:
            result.append(0.0 if rules.absent_classes == "zero" else None)
    return result


def plain_nms(tubes: list[Item], rules: VideoRules) -> list[Item]:
    kept: list[Item] = []
    for tube in sorted(tubes, key=lambda item: -item.score):
        rivals = (k for k in kept if (k.place, k.label) == (tube.place, tube.label))
        if all(plain_tube_iou(rival.shape, tube.shape, rules) <= rules.nms_iou for rival in rivals):
            kept.append(tube)
    return [tube for tube in tubes if any(tube is k for k in kept)]


def assert_same(per_class: np.ndarray, expected: list[float | None]) -> None:
    np.testing.assert_allclose(per_class, [np.nan if ap is None else ap for ap in expected], rtol=0, atol=1e-12)


@given(WORLDS, THRESHOLDS, FRAME_RULES, st.booleans())
def test_frame_map_equals_plain_loops(
    world: list[VideoSpec], threshold: float, rules: FrameRules, half_open: bool
) -> None:
    videos, detections, _ = build(world)
    raw_truth = [((i, t), c, b) for i, (tubes, _, _) in enumerate(world) for c, d, _ in tubes for t, b in d.items()]
    found = [
        Item((i, t), label, score, measured(box, rules, half_open))
        for i, (_, _, boxes) in enumerate(world)
        for t, label, box, score in boxes
    ]
    if rules.detections_on == "annotated":
        found = [item for item in found if item.place in {place for place, _, _ in raw_truth}]
    tiny = {place for place, _, (x1, y1, x2, y2) in raw_truth if (x2 - x1) * (y2 - y1) < rules.min_truth_area}
    found = [item for item in found if item.place not in tiny]
    truth = [Item(place, label, 1.0, measured(box, rules, half_open)) for place, label, box in raw_truth]
    if rules.truth_on == "detected":
        truth = [item for item in truth if item.place in {f.place for f in found}]
    protocol = replace(VOC, frame=rules)
    result = frame_map(videos, detections, NUM_CLASSES, threshold, protocol=protocol, half_open=half_open)
    assert_same(result.per_class, plain_average_precisions(found, truth, threshold, rules))


@given(WORLDS, THRESHOLDS, VIDEO_RULES, st.booleans())
def test_video_map_equals_plain_loops(
    world: list[VideoSpec], threshold: float, rules: VideoRules, half_open: bool
) -> None:
    videos, _, linked = build(world)

    def items(of_videos: list[list[TubeSpec]]) -> list[Item]:
        return [
            Item(i, label, score, {t: measured(box, rules, half_open) for t, box in boxes.items()})
            for i, tubes in enumerate(of_videos)
            for label, boxes, score in tubes
        ]

    found, truth = items([tubes for _, tubes, _ in world]), items([tubes for tubes, _, _ in world])
    if rules.nms_iou is not None:
        found = plain_nms(found, rules)
    result = video_map(videos, linked, NUM_CLASSES, threshold, protocol=replace(VOC, video=rules), half_open=half_open)
    assert_same(result.per_class, plain_average_precisions(found, truth, threshold, rules))


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
    assert plain_tube_iou({0: box, 1: box}, {1: box, 2: box}, VideoRules()) == pytest.approx(1 / 3)


def test_videos_are_compared_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    specs = [
        [
            (int(t), 0, (0.0, 0.0, 2.0, 2.0 + t), float(s))
            for t, s in zip(random.integers(0, 6, 5), random.random(5), strict=True)
        ]
        for _ in range(6)
    ]
    world = [
        ([(0, {t: (0.0, 0.0, 2.0, 3.0) for t in range(4)}, 0.5)], [], boxes if n != 2 else [])
        for n, boxes in enumerate(specs)
    ]
    videos, detections, _ = build(world)
    rules = FrameRules(detections_on="annotated", truth_on="detected")
    tables = make_tables(videos, NUM_CLASSES, detections=detections)
    at_once = frame_overlaps(tables, rules)
    assert len(at_once.pair_iou) > 10
    for size in (1, 7, 12):
        monkeypatch.setattr(overlaps, "_BOXES_AT_ONCE", size)
        in_blocks = frame_overlaps(tables, rules)
        for field in fields(at_once):
            if field.name != "pair_spatial_iou":
                np.testing.assert_array_equal(getattr(in_blocks, field.name), getattr(at_once, field.name))
