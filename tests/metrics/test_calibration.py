from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.errors import ConfigError
from stal.metrics.calibration import calibration
from stal.metrics.overlaps import OverlapTable, frame_overlaps
from stal.metrics.protocol import VOC

Box = tuple[float, bool]  # score, and whether it is a true positive


def table_of(overlap_table: Callable[..., OverlapTable], boxes: list[Box]) -> OverlapTable:
    """Boxes on frames of their own, each with ground truth, which it hits or not."""
    found = [((0, frame), 0, score) for frame, (score, _) in enumerate(boxes)]
    truth = [((0, frame), 0) for frame in range(len(boxes))]
    return overlap_table(found, truth, {(n, n): float(hit) for n, (_, hit) in enumerate(boxes)})


@given(boxes=st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), st.booleans()), max_size=12))
def test_bins_equal_plain_loops(overlap_table: Callable[..., OverlapTable], boxes: list[Box]) -> None:
    result = calibration(table_of(overlap_table, boxes), VOC.frame, 0.5, num_bins=4)
    assert result.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    error = 0.0
    for b in range(4):
        inside = [(score, hit) for score, hit in boxes if min(int(score * 4), 3) == b]
        assert result.counts[b] == len(inside)
        if not inside:
            assert np.isnan(result.precision[b])
            assert np.isnan(result.mean_score[b])
            continue
        mean_score, precision = (sum(values) / len(inside) for values in zip(*inside, strict=True))
        assert result.precision[b] == pytest.approx(precision)
        assert result.mean_score[b] == pytest.approx(mean_score)
        error += len(inside) * abs(precision - mean_score) / len(boxes)
    assert result.expected_error == pytest.approx(error if boxes else float("nan"), nan_ok=True)


def test_scores_that_say_the_precision_have_no_error(overlap_table: Callable[..., OverlapTable]) -> None:
    boxes = [(0.75, True), (0.75, True), (0.75, True), (0.75, False), (0.5, True), (0.5, False)]
    assert calibration(table_of(overlap_table, boxes), VOC.frame, 0.5).expected_error == 0
    sure = calibration(table_of(overlap_table, [(1.0, False)]), VOC.frame, 0.5)
    assert sure.expected_error == 1
    assert sure.counts.tolist() == [0] * 9 + [1]


def test_scores_beyond_probabilities_are_binned_over_their_range(overlap_table: Callable[..., OverlapTable]) -> None:
    result = calibration(table_of(overlap_table, [(-3.0, False), (1.0, True), (5.0, True)]), VOC.frame, 0.5, num_bins=2)
    assert result.edges.tolist() == [-3, 1, 5]
    assert result.counts.tolist() == [1, 2]
    assert result.precision.tolist() == [0, 1]
    assert np.isnan(result.expected_error)
    equal = calibration(table_of(overlap_table, [(7.0, True)] * 2), VOC.frame, 0.5, num_bins=2)
    assert equal.counts.tolist() == [0, 2]


def test_no_bins_are_refused(overlap_table: Callable[..., OverlapTable]) -> None:
    with pytest.raises(ConfigError, match="0 bins"):
        calibration(overlap_table([], [], {}), VOC.frame, 0.5, num_bins=0)


@pytest.mark.data
def test_every_detection_of_an_oracle_is_in_a_bin(oracle: Callable[[str], Any]) -> None:
    _, tables = oracle("small")
    result = calibration(frame_overlaps(tables, VOC.frame), VOC.frame, 0.5)
    assert result.counts.sum() == len(tables.boxes)
    assert 0 < result.expected_error < 1


def test_tenths_are_in_the_bin_that_they_open(overlap_table: Callable[..., OverlapTable]) -> None:
    tenths = table_of(overlap_table, [(tenth / 10, True) for tenth in range(11)])
    assert calibration(tenths, VOC.frame, 0.5).counts.tolist() == [*[1] * 9, 2]


def test_a_single_score_beyond_1_has_a_bin(overlap_table: Callable[..., OverlapTable]) -> None:
    result = calibration(table_of(overlap_table, [(7.0, True)]), VOC.frame, 0.5)
    assert result.counts.sum() == 1
    assert (np.diff(result.edges) > 0).all()
