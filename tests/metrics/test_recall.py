"""Recall and MABO against plain loops and the peers' numbers."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.metrics.class_mean import class_mean
from stal.metrics.overlaps import OverlapTable, frame_overlaps, tube_overlaps
from stal.metrics.protocol import ACT, VOC, Rules
from stal.metrics.recall import average_best_overlap, recall
from stal.metrics.tables import TubeTable

NUM_CLASSES = 3
HERE, LATER = (0, 0), (0, 1)


@given(data=st.data(), matching=st.sampled_from(["best_of_all", "best_of_free"]), threshold=st.sampled_from([0.3, 0.5]))
def test_recall_and_best_overlap_equal_plain_loops(
    overlap_tables: st.SearchStrategy[OverlapTable],
    plain_match: Callable[..., list[int]],
    data: st.DataObject,
    matching: Any,
    threshold: float,
) -> None:
    table, rules = data.draw(overlap_tables), Rules(matching=matching)
    matched = plain_match(table, rules, threshold)
    recalls = recall(table, rules, threshold, NUM_CLASSES)
    overlaps = average_best_overlap(table, NUM_CLASSES)
    for label in range(NUM_CLASSES):
        items = [g for g in range(len(table.truth_rows)) if table.truth_labels[g] == label]
        if not items:
            assert np.isnan(recalls[label])
            assert np.isnan(overlaps[label])
            continue
        assert recalls[label] == pytest.approx(sum(g in matched for g in items) / len(items), abs=1e-12)
        best = [max(table.pair_iou[table.pair_truth == g], default=0.0) for g in items]
        assert overlaps[label] == pytest.approx(sum(best) / len(items), abs=1e-12)


def test_the_best_overlap_is_that_of_any_class_and_score(overlap_table: Callable[..., OverlapTable]) -> None:
    found, truth = [(HERE, 0, 0.9), (HERE, 1, 0.1)], [(HERE, 0), (LATER, 0)]
    table = overlap_table(found, truth, {(0, 0): 0.5, (1, 0): 0.7})
    assert average_best_overlap(table, 1).tolist() == [0.35]
    assert recall(table, VOC.frame, 0.5, 1).tolist() == [0.5]


def test_without_ground_truth_there_is_nothing_to_recall(overlap_table: Callable[..., OverlapTable]) -> None:
    table = overlap_table([(HERE, 0, 0.9)], [], {})
    assert np.isnan(class_mean(average_best_overlap(table, 2)))
    assert np.isnan(class_mean(recall(table, VOC.frame, 0.5, 2)))


@pytest.mark.data
@pytest.mark.parametrize("size", ["small", "medium"])
def test_best_overlap_of_frames_equals_act(shared: Path, oracle: Callable[[str], Any], size: str) -> None:
    classes, tables = oracle(size)
    found = 100 * average_best_overlap(frame_overlaps(tables, ACT.frame), len(classes))
    peers = json.loads((shared / "oracles/peers.json").read_text())
    for name, expected in peers["sizes"][size]["reference"]["mabo_off1"].items():
        assert found[classes.index(name)] == pytest.approx(expected, abs=1e-9)
    if size == "small":
        of_act = peers["act27_mabo_small"]  # computed in float32
        assert class_mean(found) == pytest.approx(of_act["MABO"], abs=1e-5)
        for name, expected in of_act["ABO"].items():
            assert found[classes.index(name)] == pytest.approx(expected, abs=1e-5)


@pytest.mark.data
@pytest.mark.parametrize("linker", ["retina3d_none", "yowov2_viterbi", "moc_k1"])
def test_recall_of_linked_tubes_equals_the_reference(shared: Path, oracle: Callable[[str], Any], linker: str) -> None:
    classes, tables = oracle("small")
    with np.load(shared / f"oracles/linking/{linker}_small.npz") as file:
        arrays = dict(file)
    linked = replace(tables, tubes=sorted_tubes(arrays))
    recalls = recall(tube_overlaps(linked, VOC.video), VOC.video, 0.5, len(classes))
    expected = json.loads((shared / "oracles/peers.json").read_text())["link_eval"][f"{linker}_small"]
    assert 100 * class_mean(recalls) == pytest.approx(expected["recall@0.50"], abs=1e-9)


def sorted_tubes(arrays: dict[str, np.ndarray]) -> TubeTable:
    """The tubes of a file, whose frames are 1-based, by video."""
    order = np.argsort(arrays["tube_video"], kind="stable")
    offsets = arrays["tube_offset"].astype(np.int64)
    lengths = np.diff(offsets)[order]
    nth = np.concatenate([np.arange(length) for length in lengths])
    first_box, first_frame = (np.repeat(values[order], lengths) for values in (offsets[:-1], arrays["tube_start"]))
    return TubeTable(
        videos=arrays["tube_video"][order].astype(np.int64),
        labels=arrays["tube_class"][order].astype(np.int64),
        scores=arrays["tube_score"][order].astype(np.float64),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        frames=(first_frame - 1 + nth).astype(np.int64),
        boxes=arrays["tube_boxes"][first_box + nth],
    )
