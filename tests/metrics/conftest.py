"""Tables of overlaps, made by hand or at random, and the real ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from stal.data.detection_files import read_detections
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules
from stal.metrics.tables import Tables, make_tables

NUM_CLASSES = 3
Place = tuple[int, int]  # video, and frame in it; for tubes the frame is 0


def make_overlap_table(
    found: Sequence[tuple[Place, int, float]],
    truth: Sequence[tuple[Place, int]],
    ious: Mapping[tuple[int, int], float],
    spatial_ious: Mapping[tuple[int, int], float] | None = None,
) -> OverlapTable:
    """Detections are (place, label, score) by rising video, ground truth is (place, label); other overlaps are 0."""
    pairs = [(d, g) for d, (place, _, _) in enumerate(found) for g, (place_, _) in enumerate(truth) if place == place_]
    return OverlapTable(
        rows=np.arange(len(found)),
        videos=np.array([place[0] for place, _, _ in found], np.int64),
        labels=np.array([label for _, label, _ in found], np.int64),
        scores=np.array([score for _, _, score in found], np.float64),
        truth_rows=np.arange(len(truth)),
        truth_videos=np.array([place[0] for place, _ in truth], np.int64),
        truth_labels=np.array([label for _, label in truth], np.int64),
        pair_detection=np.array([d for d, _ in pairs], np.int64),
        pair_truth=np.array([g for _, g in pairs], np.int64),
        pair_iou=np.array([ious.get(pair, 0.0) for pair in pairs], np.float64),
        pair_spatial_iou=None
        if spatial_ious is None
        else np.array([spatial_ious.get(pair, np.nan) for pair in pairs], np.float64),
    )


@st.composite
def random_overlap_tables(draw: st.DrawFn) -> OverlapTable:
    """A few boxes or tubes with many ties, overlaps of exactly 0.1 and 0.5 among them."""
    of_tubes = draw(st.booleans())
    places = st.tuples(st.integers(0, 1), st.just(0) if of_tubes else st.integers(0, 1))
    labels = st.integers(0, NUM_CLASSES - 1)
    found = sorted(
        draw(st.lists(st.tuples(places, labels, st.sampled_from([0.25, 0.5, 0.75])), max_size=10)),
        key=lambda item: item[0][0],
    )
    truth = draw(st.lists(st.tuples(places, labels), max_size=6))
    iou = st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5, 0.6, 0.8, 1.0])
    pairs = [(d, g) for d in range(len(found)) for g in range(len(truth))]
    ious = dict(zip(pairs, draw(st.lists(iou, min_size=len(pairs), max_size=len(pairs))), strict=True))
    if not of_tubes:
        return make_overlap_table(found, truth, ious)
    spatial = st.sampled_from([np.nan, 0.2, 0.45, 0.72, 1.0])
    drawn = dict(zip(pairs, draw(st.lists(spatial, min_size=len(pairs), max_size=len(pairs))), strict=True))
    spatial_ious = {pair: drawn[pair] if ious[pair] == 0 else float(np.fmax(drawn[pair], ious[pair])) for pair in pairs}
    return make_overlap_table(found, truth, ious, spatial_ious)


def match_plainly(table: OverlapTable, rules: Rules, iou_threshold: float) -> list[int]:
    """Return what `match` returns, one detection after the other."""
    matched = [-1] * len(table.rows)
    iou = {(d, g): i for d, g, i in zip(table.pair_detection, table.pair_truth, table.pair_iou, strict=True)}
    for d in sorted(range(len(matched)), key=lambda d: -table.scores[d]):
        best, best_iou = -1, 0.0
        for g in range(len(table.truth_rows)):
            if table.labels[d] != table.truth_labels[g] or (rules.matching == "best_of_free" and g in matched):
                continue
            if iou.get((d, g), 0.0) > best_iou:
                best, best_iou = g, iou[d, g]
        enough = best_iou > iou_threshold if rules.threshold == "above" else best_iou >= iou_threshold
        if best != -1 and enough and best not in matched:
            matched[d] = best
    return matched


@pytest.fixture(scope="session")
def overlap_table() -> Callable[..., OverlapTable]:
    return make_overlap_table


@pytest.fixture(scope="session")
def overlap_tables() -> st.SearchStrategy[OverlapTable]:
    return random_overlap_tables()


@pytest.fixture(scope="session")
def plain_match() -> Callable[[OverlapTable, Rules, float], list[int]]:
    return match_plainly


@pytest.fixture(scope="session")
def oracle(shared: Path) -> Callable[[str], tuple[tuple[str, ...], Tables]]:
    """Return a function that reads the classes and the tables of an oracle, with scores without ties."""

    @cache
    def read(size: str) -> tuple[tuple[str, ...], Tables]:
        path = shared / f"oracles/oracle_{size}.npz"
        file = read_detections(path)
        videos, classes = file.annotations.videos, file.annotations.classes
        tables = make_tables(
            videos, len(classes), detections=file.detections, tubes=file.tubes, half_open=file.half_open
        )
        with np.load(path) as arrays:
            order = np.argsort(arrays["det_video"], kind="stable")
            tube_order = np.argsort(arrays["tube_video"], kind="stable")
            boxes = replace(tables.boxes, scores=arrays["det_score_unique"][order].astype(np.float64))
            tubes = replace(tables.tubes, scores=arrays["tube_score_unique"][tube_order].astype(np.float64))
        return classes, replace(tables, boxes=boxes, tubes=tubes)

    return read
