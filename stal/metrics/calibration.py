"""Whether scores mean what they say: the precision of detections by their score."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from stal.errors import ConfigError
from stal.metrics.matching import NOTHING, match
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules

NUM_BINS = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """Detections in bins of equal width of their score.

    Attributes:
        counts: (B,) number of detections.
        edges: (B + 1,) scores between which the bins lie; a bin holds its lower edge, the last one its upper edge too.
        precision: (B,) fraction of them that are true positives; NaN for an empty bin.
        mean_score: (B,) their mean score; NaN for an empty bin.
        expected_error: mean of |precision - mean score| over the detections (expected calibration error, Naeini et al.,
            AAAI 2015); NaN if there are none, or if a score is outside [0, 1] and so no probability.
    """

    counts: Int64[np.ndarray, " B"]
    edges: Float64[np.ndarray, " B+1"]
    precision: Float64[np.ndarray, " B"]
    mean_score: Float64[np.ndarray, " B"]
    expected_error: float


def calibration(table: OverlapTable, rules: Rules, iou_threshold: float, num_bins: int = NUM_BINS) -> Calibration:
    """Compare the scores of all detections, of all classes together, with how many of them are true positives.

    Args:
        table: overlaps of boxes or of tubes.
        rules: the matching rule.
        iou_threshold: overlap that a hit needs, in (0, 1].
        num_bins: number of bins. They divide [0, 1] or, if a score is outside it, the range of the scores.

    Raises:
        ConfigError: The threshold is outside (0, 1], or there are no bins.
    """
    if num_bins < 1:
        raise ConfigError(f"{num_bins} bins: scores are sorted into at least one")
    hits = match(table, rules, iou_threshold) != NOTHING
    lowest, highest = float(table.scores.min(initial=0)), float(table.scores.max(initial=1))
    are_probabilities = lowest >= 0 and highest <= 1
    if not are_probabilities:
        lowest, highest = float(table.scores.min()), float(table.scores.max())
    if lowest == highest:
        lowest, highest = lowest - 0.5, highest + 0.5
    # not linspace, whose 3 x 0.1 is more than 0.3
    edges = lowest + np.arange(num_bins + 1) * (highest - lowest) / num_bins
    bins = np.searchsorted(edges[1:-1], table.scores, side="right")

    counts = np.bincount(bins, minlength=num_bins)
    precision, mean_score = (
        np.divide(
            np.bincount(bins, weights=values, minlength=num_bins),
            counts,
            out=np.full(num_bins, np.nan),
            where=counts > 0,
        )
        for values in (hits, table.scores)
    )
    expected_error = float("nan")
    if are_probabilities and len(hits):
        filled = counts > 0
        expected_error = float(np.average(np.abs(precision - mean_score)[filled], weights=counts[filled]))
    return Calibration(counts, edges, precision, mean_score, expected_error)
