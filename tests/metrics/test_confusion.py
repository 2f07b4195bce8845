from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.metrics.confusion import confusion_matrix
from stal.metrics.overlaps import OverlapTable, frame_overlaps
from stal.metrics.protocol import VOC, Rules

NUM_CLASSES = 3
HERE, LATER = (0, 0), (0, 1)


@given(data=st.data(), threshold=st.sampled_from([0.1, 0.5]), rule=st.sampled_from(["at_least", "above"]))
def test_confusion_equals_plain_loops(
    overlap_tables: st.SearchStrategy[OverlapTable], data: st.DataObject, threshold: float, rule: Any
) -> None:
    table = data.draw(overlap_tables)
    expected = np.zeros((NUM_CLASSES, NUM_CLASSES + 1), np.int64)
    for g, label in enumerate(table.truth_labels):
        best = None
        for d, truth, iou in zip(table.pair_detection, table.pair_truth, table.pair_iou, strict=True):
            enough = iou > threshold if rule == "above" else iou >= threshold
            if truth == g and enough and (best is None or table.scores[d] > table.scores[best]):
                best = d
        expected[label, NUM_CLASSES if best is None else table.labels[best]] += 1
    found = confusion_matrix(table, Rules(threshold=rule), threshold, NUM_CLASSES)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("scores", "row"), [((0.9, 0.8), [1, 0, 0]), ((0.8, 0.9), [0, 1, 0]), ((0.5, 0.5), [1, 0, 0])])
def test_an_action_is_taken_for_that_of_the_surest_box(
    overlap_table: Callable[..., OverlapTable], scores: tuple[float, float], row: list[int]
) -> None:
    found = [(HERE, 0, scores[0]), (HERE, 1, scores[1])]
    table = overlap_table(found, [(HERE, 0), (LATER, 1)], {(0, 0): 0.5, (1, 0): 0.9})
    assert confusion_matrix(table, VOC.frame, 0.5, 2).tolist() == [row, [0, 0, 1]]


def test_nothing_found_is_all_missed(overlap_table: Callable[..., OverlapTable]) -> None:
    table = overlap_table([], [(HERE, 0), (HERE, 0)], {})
    assert confusion_matrix(table, VOC.frame, 0.5, 2).tolist() == [[0, 0, 2], [0, 0, 0]]
    assert not confusion_matrix(overlap_table([(HERE, 0, 0.5)], [], {}), VOC.frame, 0.5, 2).any()


@pytest.mark.data
def test_every_ground_truth_of_an_oracle_is_counted_once(oracle: Callable[[str], Any]) -> None:
    classes, tables = oracle("small")
    table = frame_overlaps(tables, VOC.frame)
    counts = confusion_matrix(table, VOC.frame, 0.5, len(classes))
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(table.truth_labels, minlength=len(classes)))
