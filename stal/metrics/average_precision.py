"""Average precision: the area under precision over recall, by the rule of a protocol."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from stal.metrics.class_mean import class_mean
from stal.metrics.matching import NOTHING, match
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Area, Rules


@dataclass(frozen=True, eq=False)
class MeanAveragePrecision:
    """Average precision of every class, in [0, 1].

    Attributes:
        per_class: (K,) NaN where a class has no ground truth and the protocol leaves it out.
    """

    per_class: Float64[np.ndarray, " K"]

    @property
    def mean(self) -> float:
        """Return the unweighted mean over the classes that are not left out; NaN if all are."""
        return class_mean(self.per_class)


@dataclass(frozen=True, eq=False)
class RankedHits:
    """The detections of one class, surest first.

    Attributes:
        rows: (R,) the detections.
        hits: (R,) True where a detection is a true positive.
        num_truth: number of ground-truth items of the class.
    """

    rows: Int64[np.ndarray, " R"]
    hits: Bool[np.ndarray, " R"]
    num_truth: int


def average_precision(
    true: Float64[np.ndarray, "T B"],
    false: Float64[np.ndarray, "T+1 B"],
    num_truth: Float64[np.ndarray, " B"],
    area: Area = "envelope",
) -> Float64[np.ndarray, " B"]:
    """Return the average precision of B rankings whose detections count a whole number of times each.

    All counts are 1 for a plain evaluation with B = 1; a bootstrap over videos counts the detections of a video as
    often as it was drawn. A detection that counts twice is followed by its copy, and both are true if it is.

    Args:
        true: how often each true positive counts, surest first.
        false: how often the false positives count that stand before each true positive, but after the one before it; in
            the last row, those after the last one.
        num_truth: number of ground-truth items; 0 gives 0.
        area: how the area is measured, see `Rules.area`.
    """
    num_true = np.cumsum(true, axis=0)
    num_found = num_true + np.cumsum(false[:-1], axis=0)
    precision = _divide(num_true, num_found)
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    if area == "envelope":
        total = (true * envelope).sum(axis=0)
    elif area == "trapezoid":
        total = _trapezoids(true, num_true, num_found).sum(axis=0)
    elif area == "envelope_trapezoid":
        # A true positive never lowers the precision, so the envelope is flat up to it; only the end is a triangle.
        recalled = true.sum(axis=0)
        last_precision = _divide(recalled, recalled + false.sum(axis=0))
        total = (true * envelope).sum(axis=0) + (num_truth - recalled) * last_precision / 2
    else:
        reached = 10 * num_true[None] >= np.arange(11)[:, None, None] * num_truth
        total = num_truth * np.where(reached, envelope, 0).max(axis=1, initial=0).mean(axis=0)
    return _divide(total, num_truth)


def _trapezoids(
    true: Float64[np.ndarray, "T B"], num_true: Float64[np.ndarray, "T B"], num_found: Float64[np.ndarray, "T B"]
) -> Float64[np.ndarray, "T B"]:
    """Return num_truth x the area that each true positive and its copies add between their recalls."""
    before_true, before_found = num_true - true, num_found - true
    last = _divide(before_true, before_found, empty=1.0)
    total = np.zeros_like(true)
    for copy in range(1, int(true.max(initial=0)) + 1):
        precision = (before_true + copy) / (before_found + copy)
        total += np.where(copy <= true, (last + precision) / 2, 0)
        last = precision
    return total


def ranked_hits(table: OverlapTable, matched: Int64[np.ndarray, " D"], num_classes: int) -> list[RankedHits]:
    """Return the detections of every class, surest first.

    Args:
        table: the detections and the ground truth.
        matched: what `match` returned.
        num_classes: number of classes of the data set.
    """
    ends = np.cumsum(np.bincount(table.labels, minlength=num_classes))
    num_truth = np.bincount(table.truth_labels, minlength=num_classes)
    hits = matched != NOTHING
    return [
        RankedHits(rows, hits[rows], int(n))
        for rows, n in zip(np.split(table.within_classes.rows_by_class, ends[:-1]), num_truth, strict=True)
    ]


def mean_average_precision(
    table: OverlapTable, num_classes: int, rules: Rules, iou_threshold: float
) -> MeanAveragePrecision:
    """Return the AP of every class at one IoU threshold.

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    matched = match(table, rules, iou_threshold)
    per_class = [class_average_precision(ranked, rules) for ranked in ranked_hits(table, matched, num_classes)]
    return MeanAveragePrecision(np.array(per_class, np.float64))


def class_average_precision(ranked: RankedHits, rules: Rules) -> float:
    """Return the AP of one class; NaN or 0, as the rules say, if it has no ground truth."""
    if ranked.num_truth == 0:
        return 0.0 if rules.absent_classes == "zero" else float("nan")
    true_at = np.flatnonzero(ranked.hits)
    false = np.diff(true_at, prepend=-1, append=len(ranked.hits)) - 1.0
    num_truth = np.array([ranked.num_truth + rules.extra_truth])
    return float(average_precision(np.ones((len(true_at), 1)), false[:, None], num_truth, rules.area)[0])


def _divide(
    a: Float64[np.ndarray, "*N"], b: Float64[np.ndarray, "*N"], empty: float = 0.0
) -> Float64[np.ndarray, "*N"]:
    """Return a / b, and `empty` where b is 0."""
    return np.divide(a, b, out=np.full(np.shape(a), empty), where=b > 0)
