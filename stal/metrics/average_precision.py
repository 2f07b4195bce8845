"""From overlaps with the ground truth to average precision; the same for boxes and for tubes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from stal.errors import ConfigError


@dataclass(frozen=True)
class OverlapTable:
    """Detections and ground truth of all videos, boxes or tubes alike, and how much they overlap.

    It does not depend on the IoU threshold, so that one table serves all.

    Attributes:
        scores: (D,) confidences of the detections, in the order that breaks ties.
        labels: (D,) their classes.
        truth_labels: (G,) classes of the ground truth.
        pair_detection, pair_truth: (P,) rows of the pairs of one class and place (frame or video), ordered by
            detection, then by ground truth; pairs that do not overlap may be missing.
        pair_iou: (P,) their overlap.
    """

    scores: Float64[np.ndarray, " D"]
    labels: Int64[np.ndarray, " D"]
    truth_labels: Int64[np.ndarray, " G"]
    pair_detection: Int64[np.ndarray, " P"]
    pair_truth: Int64[np.ndarray, " P"]
    pair_iou: Float64[np.ndarray, " P"]


@dataclass(frozen=True)
class MeanAveragePrecision:
    """Average precision of every class, in [0, 1].

    Attributes:
        per_class: (K,) NaN where a class has no ground truth.
    """

    per_class: Float64[np.ndarray, " K"]

    @property
    def mean(self) -> float:
        """Unweighted mean over the classes that have ground truth; NaN if none has."""
        present = self.per_class[~np.isnan(self.per_class)]
        return float(present.mean()) if len(present) else float("nan")


def average_precision(hits: Bool[np.ndarray, " R"], num_truth: int) -> float:
    """Return the all-point area under the precision envelope.

    Args:
        hits: True where a detection is a true positive, surest detection first.
        num_truth: number of ground-truth items, at least 1.
    """
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / num_truth)


def mean_average_precision(table: OverlapTable, num_classes: int, iou_threshold: float) -> MeanAveragePrecision:
    """Return the AP of every class at one IoU threshold, by the protocol `voc`.

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    if not 0 < iou_threshold <= 1:
        raise ConfigError(f"IoU threshold {iou_threshold} is outside (0, 1]")
    ranking = np.argsort(-table.scores, kind="stable")
    hits = _hits(table, ranking, iou_threshold)
    num_truth = np.bincount(table.truth_labels, minlength=num_classes)
    per_class = np.full(num_classes, np.nan)
    for label in np.flatnonzero(num_truth):
        of_class = ranking[table.labels[ranking] == label]
        per_class[label] = average_precision(hits[of_class], int(num_truth[label]))
    return MeanAveragePrecision(per_class)


def _hits(table: OverlapTable, ranking: Int64[np.ndarray, " D"], iou_threshold: float) -> Bool[np.ndarray, " D"]:
    """Return which detections are true positives: the surest of those whose best match is the same ground truth."""
    # Sorted by detection, then by falling IoU (stable: the first ground truth wins a tie), so that the first pair of
    # every detection is its best one.
    order = np.lexsort((-table.pair_iou, table.pair_detection))
    detections, first = np.unique(table.pair_detection[order], return_index=True)
    best = order[first]
    close = table.pair_iou[best] >= iou_threshold
    detections, truths = detections[close], table.pair_truth[best[close]]

    rank = np.empty_like(ranking)
    rank[ranking] = np.arange(len(ranking))
    by_rank = np.argsort(rank[detections])
    _, surest = np.unique(truths[by_rank], return_index=True)
    hits = np.zeros(len(ranking), bool)
    hits[detections[by_rank][surest]] = True
    return hits
