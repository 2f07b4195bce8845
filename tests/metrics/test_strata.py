"""Motion and size strata against plain loops, and cases worked out by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.metrics.average_precision import RankedHits, class_average_precision, mean_average_precision
from stal.metrics.overlaps import OverlapTable, frame_overlaps, tube_overlaps
from stal.metrics.protocol import VOC, Rules
from stal.metrics.strata import (
    MOTION_STRATA,
    SIZE_STRATA,
    Strata,
    motion_iou,
    motion_strata,
    size_strata,
    stratified_average_precision,
)
from stal.metrics.tables import Tables, TubeTable, make_tables
from stal.structures import Detections, Tube, Video

NUM_CLASSES = 3


def moving_tube(frames: list[int], pixels_per_frame: float, size: float = 40, *, id: int = 0, **kwargs: Any) -> Tube:
    x1 = pixels_per_frame * np.array(frames, np.float64)
    boxes = np.stack([x1, 0 * x1, x1 + size, 0 * x1 + size], axis=1).astype(np.float32)
    return Tube(0, np.array(frames), boxes, id=id, **kwargs)


def tables_of(tubes: list[Tube], found: list[Tube] | None = None) -> Tables:
    """One video with these tubes, and detected ones, whose boxes are the detections."""
    video = Video("v", Path("v.avi"), 100, 2000, 2000, tubes=tuple(tubes))
    found = found or []
    detections = [
        Detections(t.frames, t.boxes, np.full(len(t), t.label), np.full(len(t), t.score, np.float64)) for t in found
    ]
    boxes = Detections.concatenate(detections) if detections else Detections.empty()
    return make_tables([video], NUM_CLASSES, detections={"v": boxes}, tubes={"v": found})


def truth_table(tubes: list[Tube]) -> TubeTable:
    return tables_of(tubes).truth


def plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (both - width * height)


def plain_motion_iou(tube: Tube) -> float:
    boxes = dict(zip(tube.frames.tolist(), tube.boxes.astype(np.float64), strict=True))
    for distance in range(10, 0, -1):
        ious = [plain_iou(boxes[t], boxes[t + distance]) for t in boxes if t + distance in boxes]
        if ious:
            return sum(ious) / len(ious)
    return 1.0


FRAMES = st.sets(st.integers(0, 25), min_size=1).map(sorted)


@given(st.lists(st.tuples(FRAMES, st.sampled_from([0.0, 0.3, 0.7, 2.0, 50.0])), max_size=4))
def test_motion_iou_equals_plain_loops(specs: list[tuple[list[int], float]]) -> None:
    tubes = [moving_tube(frames, speed, id=k) for k, (frames, speed) in enumerate(specs)]
    expected = [plain_motion_iou(tube) for tube in tubes]
    np.testing.assert_allclose(motion_iou(truth_table(tubes)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("frames", "speed", "stratum"),
    [
        (list(range(30)), 0.0, "slow"),
        (list(range(30)), 0.4, "medium"),  # 4 of 40 pixels in 10 frames: 36 / 44
        (list(range(30)), 1.0, "fast"),  # 30 / 50
        (list(range(3)), 1.0, "slow"),  # over 2 frames: 38 / 42
        ([0, 2, 4], 2.0, "fast"),  # a gap: 4 frames apart, 32 / 48
        ([7], 9.0, "slow"),
    ],
)
def test_an_actor_is_as_fast_as_its_boxes_move(frames: list[int], speed: float, stratum: str) -> None:
    tables = tables_of([moving_tube(frames, speed)])
    of_tube = motion_strata(tables, tube_overlaps(tables, VOC.video))
    assert [MOTION_STRATA[s] for s in of_tube.truth] == [stratum]
    of_boxes = motion_strata(tables, frame_overlaps(tables, VOC.frame))
    assert [MOTION_STRATA[s] for s in of_boxes.truth] == [stratum] * len(frames)
    assert of_boxes.detections is None


@pytest.mark.parametrize(
    ("size", "stratum"), [(31, "small"), (32, "medium"), (95, "medium"), (96, "large"), (500, "large")]
)
def test_sizes_have_the_bounds_of_coco(size: float, stratum: str) -> None:
    tables = tables_of([moving_tube([0, 1], 0, size)], [moving_tube([0, 1, 2], 0, size, score=0.5)])
    for table in (frame_overlaps(tables, VOC.frame), tube_overlaps(tables, VOC.video)):
        strata = size_strata(tables, table)
        assert strata.detections is not None
        assert {SIZE_STRATA[s] for s in [*strata.truth, *strata.detections]} == {stratum}
        assert (len(strata.truth), len(strata.detections)) == (len(table.truth_rows), len(table.rows))


def test_a_tube_has_the_mean_size_of_its_boxes() -> None:
    boxes = np.array([[0, 0, 20, 20], [0, 0, 40, 40]], np.float32)  # mean 1000 < 32 x 32, of boxes 400 and 1600
    tables = tables_of([Tube(0, np.array([0, 1]), boxes)])
    assert size_strata(tables, tube_overlaps(tables, VOC.video)).truth.tolist() == [0]
    assert size_strata(tables, frame_overlaps(tables, VOC.frame)).truth.tolist() == [0, 1]


@given(
    data=st.data(),
    matching=st.sampled_from(["best_of_all", "best_of_free"]),
    absent=st.sampled_from(["left_out", "zero"]),
    area=st.sampled_from(["envelope", "trapezoid"]),
)
def test_strata_equal_plain_loops(
    overlap_tables: st.SearchStrategy[OverlapTable],
    plain_match: Callable[..., list[int]],
    data: st.DataObject,
    matching: Any,
    absent: Any,
    area: Any,
) -> None:
    table, rules = data.draw(overlap_tables), Rules(matching=matching, absent_classes=absent, area=area)
    stratum = st.integers(0, 2)
    truth = data.draw(st.lists(stratum, min_size=len(table.truth_rows), max_size=len(table.truth_rows)))
    sizes = data.draw(st.none() | st.lists(stratum, min_size=len(table.rows), max_size=len(table.rows)))
    strata = Strata(SIZE_STRATA, np.array(truth, np.int64), None if sizes is None else np.array(sizes, np.int64))
    matched = plain_match(table, rules, 0.5)
    result = stratified_average_precision(table, strata, rules, 0.5, NUM_CLASSES)
    assert [part.name for part in result] == list(SIZE_STRATA)
    for s, part in enumerate(result):
        for label in range(NUM_CLASSES):
            num_truth = sum(bool(t == s and k == label) for t, k in zip(truth, table.truth_labels, strict=True))
            assert part.num_truth[label] == num_truth
            hits = []
            for d in sorted(range(len(matched)), key=lambda d: -table.scores[d]):
                if table.labels[d] != label:
                    continue
                if matched[d] == -1 and (sizes is None or sizes[d] == s):
                    hits.append(False)
                if matched[d] != -1 and truth[matched[d]] == s:
                    hits.append(True)
            found = part.average_precision.per_class[label]
            if num_truth == 0:
                assert np.isnan(found)
            else:
                ranked = RankedHits(np.arange(len(hits)), np.array(hits, bool), num_truth)
                assert found == class_average_precision(ranked, rules)


def test_a_hit_outside_the_stratum_is_no_false_positive() -> None:
    slow, fast = moving_tube(list(range(20)), 0, id=0), moving_tube(list(range(20)), 30, id=1)
    tables = tables_of([slow, fast], [moving_tube(list(range(20)), 0, score=0.9), moving_tube([50], 0, score=0.8)])
    table = tube_overlaps(tables, VOC.video)
    strata = motion_strata(tables, table)
    parts = {p.name: p for p in stratified_average_precision(table, strata, VOC.video, 0.5, NUM_CLASSES)}
    assert {name: part.num_truth.tolist() for name, part in parts.items()} == {
        "slow": [1, 0, 0],
        "medium": [0, 0, 0],
        "fast": [1, 0, 0],
    }
    assert parts["slow"].average_precision.mean == 1
    assert parts["fast"].average_precision.mean == 0
    assert np.isnan(parts["medium"].average_precision.mean)


def test_nothing_has_no_strata() -> None:
    tables = tables_of([])
    for table in (frame_overlaps(tables, VOC.frame), tube_overlaps(tables, VOC.video)):
        for strata in (motion_strata(tables, table), size_strata(tables, table)):
            parts = stratified_average_precision(table, strata, VOC.frame, 0.5, NUM_CLASSES)
            assert all(np.isnan(part.average_precision.mean) and not part.num_truth.any() for part in parts)


@pytest.mark.data
def test_one_stratum_of_everything_is_the_map(oracle: Callable[[str], Any]) -> None:
    classes, tables = oracle("small")
    table = frame_overlaps(tables, VOC.frame)
    everything = Strata(("all",), np.zeros(len(table.truth_rows), np.int64), None)
    (part,) = stratified_average_precision(table, everything, VOC.frame, 0.5, len(classes))
    expected = mean_average_precision(table, len(classes), VOC.frame, 0.5).per_class
    np.testing.assert_array_equal(part.average_precision.per_class, expected)
    for strata in (motion_strata(tables, table), size_strata(tables, table)):
        parts = stratified_average_precision(table, strata, VOC.frame, 0.5, len(classes))
        assert sum(part.num_truth.sum() for part in parts) == len(table.truth_rows)
