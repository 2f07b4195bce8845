from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.errors import ConfigError
from stal.metrics.average_precision import MeanAveragePrecision, average_precision
from stal.metrics.frame_map import frame_map

AREAS: list[Any] = ["envelope", "trapezoid", "envelope_trapezoid", "eleven_points"]


def area_under(hits: list[int], num_truth: int, area: Any) -> float:
    true_at = np.flatnonzero(hits)
    false = np.diff(true_at, prepend=-1, append=len(hits)) - 1.0
    true = np.ones((len(true_at), 1))
    return float(average_precision(true, false[:, None], np.array([float(num_truth)]), area)[0])


@pytest.mark.parametrize(
    ("hits", "num_truth", "envelope", "trapezoid", "envelope_trapezoid", "eleven_points"),
    [
        ([], 3, "0", "0", "0", "0"),
        ([0, 0], 3, "0", "0", "0", "0"),
        ([1], 1, "1", "1", "1", "1"),
        ([1, 0, 0], 1, "1", "1", "1", "1"),
        ([0, 1], 1, "1/2", "1/4", "1/2", "1/2"),
        ([1, 0, 1], 2, "5/6", "19/24", "5/6", "28/33"),
        ([0, 1, 1], 2, "2/3", "5/12", "2/3", "2/3"),  # the envelope lifts 1/2 to 2/3
        ([1], 2, "1/2", "1/2", "3/4", "6/11"),  # YOLO's rule adds a triangle beyond the last recall
        ([1, 0], 2, "1/2", "1/2", "5/8", "6/11"),  # which falls from the last precision, here 1/2
    ],
)
def test_areas_by_hand(
    hits: list[int], num_truth: int, envelope: str, trapezoid: str, envelope_trapezoid: str, eleven_points: str
) -> None:
    expected = [envelope, trapezoid, envelope_trapezoid, eleven_points]
    found = [area_under(hits, num_truth, area) for area in AREAS]
    assert found == pytest.approx([float(Fraction(text)) for text in expected], abs=1e-15)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=12), st.sampled_from(AREAS))
def test_counts_are_copies(counted: list[tuple[bool, int]], area: Any) -> None:
    copies = [int(hit) for hit, count in counted for _ in range(count)]
    num_truth = sum(copies) + 1
    true_at = [i for i, (hit, _) in enumerate(counted) if hit]
    bounds = [-1, *true_at, len(counted)]
    false = [sum(count for _, count in counted[a + 1 : b]) for a, b in pairwise(bounds)]
    counts = np.array([counted[i][1] for i in true_at], np.float64)
    # The second ranking is of the same detections, once each.
    true = np.stack([counts, np.ones(len(counts))], axis=1)
    once = np.diff(bounds) - 1.0
    found = average_precision(
        true, np.stack([np.array(false, np.float64), once], axis=1), np.array([num_truth, 99.0]), area
    )
    expected = [area_under(copies, num_truth, area), area_under([int(hit) for hit, _ in counted], 99, area)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_without_ground_truth_the_area_is_0() -> None:
    for area in AREAS:
        assert average_precision(np.zeros((0, 1)), np.ones((1, 1)), np.zeros(1), area).tolist() == [0.0]


def test_mean_leaves_out_classes_without_ground_truth() -> None:
    assert MeanAveragePrecision(np.array([1.0, np.nan, 0.0])).mean == 0.5
    assert np.isnan(MeanAveragePrecision(np.array([np.nan])).mean)


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, 50.0])
def test_a_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="IoU threshold"):
        frame_map([], {}, 1, threshold)
