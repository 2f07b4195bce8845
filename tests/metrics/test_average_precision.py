from fractions import Fraction

import numpy as np
import pytest

from stal.errors import ConfigError
from stal.metrics.average_precision import MeanAveragePrecision, average_precision
from stal.metrics.frame_map import frame_map


@pytest.mark.parametrize(
    ("hits", "num_truth", "expected"),
    [
        ([], 3, Fraction(0)),
        ([0, 0], 3, Fraction(0)),
        ([1], 1, Fraction(1)),
        ([1, 0, 0], 1, Fraction(1)),
        ([0, 1], 1, Fraction(1, 2)),
        ([1, 0, 1], 2, Fraction(5, 6)),
        ([0, 1, 1], 2, Fraction(2, 3)),  # the envelope lifts 1/2 to 2/3
        ([1], 2, Fraction(1, 2)),  # no area beyond the last recall
    ],
)
def test_average_precision_is_the_area_under_the_envelope(hits: list[int], num_truth: int, expected: Fraction) -> None:
    assert average_precision(np.array(hits, bool), num_truth) == pytest.approx(float(expected), abs=1e-15)


def test_mean_leaves_out_classes_without_ground_truth() -> None:
    assert MeanAveragePrecision(np.array([1.0, np.nan, 0.0])).mean == 0.5
    assert np.isnan(MeanAveragePrecision(np.array([np.nan])).mean)


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, 50.0])
def test_a_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="IoU threshold"):
        frame_map([], {}, 1, threshold)
