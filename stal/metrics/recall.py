"""How much of the ground truth is found, whatever the ranking."""

import numpy as np
from jaxtyping import Float64

from stal.metrics.error_budget import found_truth
from stal.metrics.matching import match
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules


def recall(table: OverlapTable, rules: Rules, iou_threshold: float, num_classes: int) -> Float64[np.ndarray, " K"]:
    """Return the fraction of each class's ground truth that some detection finds; NaN without ground truth.

    Args:
        table: overlaps of boxes or of tubes.
        rules: the matching rule.
        iou_threshold: overlap that a hit needs, in (0, 1].
        num_classes: number of classes of the data set.

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    found = found_truth(match(table, rules, iou_threshold), len(table.truth_rows))
    return _mean_per_class(table, found.astype(np.float64), num_classes)


def average_best_overlap(table: OverlapTable, num_classes: int) -> Float64[np.ndarray, " K"]:
    """Return how well the best detection fits each class's ground truth, on average; NaN without ground truth.

    The best one is that of highest IoU, whatever its class and score; without any, the IoU is 0. The mean over the
    classes is the MABO (Uijlings et al., IJCV 2013; for boxes, frame-MABO of ACT).

    Args:
        table: overlaps of boxes or of tubes, with the pairs of any class.
        num_classes: number of classes of the data set.
    """
    best = np.zeros(len(table.truth_rows))
    np.maximum.at(best, table.pair_truth, table.pair_iou)
    return _mean_per_class(table, best, num_classes)


def _mean_per_class(
    table: OverlapTable, values: Float64[np.ndarray, " G"], num_classes: int
) -> Float64[np.ndarray, " K"]:
    """Return the mean of a value of the ground truth over that of each class; NaN without ground truth."""
    totals = np.bincount(table.truth_labels, weights=values, minlength=num_classes)
    num_truth = np.bincount(table.truth_labels, minlength=num_classes)
    return np.divide(totals, num_truth, out=np.full(num_classes, np.nan), where=num_truth > 0)
