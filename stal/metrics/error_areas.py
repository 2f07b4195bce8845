"""How much of the area above the precision-recall curve each error takes (Kalogeiton et al., ICCV 2017)."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from stal.metrics.average_precision import Area, RankedHits, class_average_precision, ranked_hits
from stal.metrics.error_budget import (
    BACKGROUND_IOU,
    ERRORS,
    ErrorBudget,
    ErrorKind,
    Evidence,
    found_truth,
    gather_evidence,
)
from stal.metrics.matching import NOTHING
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules


def error_areas(table: OverlapTable, rules: Rules, iou_threshold: float, num_classes: int) -> ErrorBudget:
    """Split 1 - AP of every class into the areas of its errors; AP and areas sum to 1.

    Every detection that is no true positive has one error, the first of these that holds. A place is a frame for boxes
    and a video for tubes.

    - `duplicate`: it overlaps ground truth of its class enough, but a surer detection has found that one.
    - `time`: there is no ground truth on any of its frames, but some of its class in the video. A tube also if it fails
      in time alone: over the frames that it shares with the ground truth of its class that it overlaps most, the mean
      IoU is the root of the threshold or more.
    - `localization`: its place has ground truth of its class, which it overlaps too little.
    - `classification`: it overlaps ground truth of another class enough.
    - `other`: it overlaps ground truth of another class too little, but by more than 0.1.
    - `background`: everything else; it overlaps nothing by more than 0.1, and its place does not have its class.

    The share of each error among the detections down to a rank is integrated over the recall as the precision is for
    the AP: wherever the rule reads the precision, it reads the errors at the same rank. `missed` is what is left: 1 -
    the final recall, less what the rule of YOLO credits behind it.

    At frame level the errors of ACT (`frameAP_error` in its code) are L = localization + duplicate, C = classification,
    T = time, O = other + background, M = missed; with its rules they are equal.

    Args:
        table: overlaps with all pairs of a place, of any class, those that do not overlap among them.
        rules: the matching rule and the area under the curve.
        iou_threshold: overlap that a hit needs, in (0, 1].
        num_classes: number of classes of the data set.

    Returns:
        The areas by error. A class without ground truth has NaN, or is missed entirely if its protocol counts it as 0.

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    evidence = gather_evidence(table, rules, iou_threshold)
    kinds = error_kinds(evidence)
    ranked = ranked_hits(table.within_classes, evidence.matched, num_classes)
    average_precision = np.array([class_average_precision(r, rules) for r in ranked], np.float64)
    areas = np.zeros((len(ERRORS), num_classes))
    for label, of_class in enumerate(ranked):
        areas[:, label] = _class_areas(of_class, kinds[of_class.rows], rules)
    areas[ErrorKind.MISSED] = (1 - average_precision - areas.sum(axis=0)).clip(min=0)
    areas[:, np.isnan(average_precision)] = np.nan

    missed = ~found_truth(evidence.matched, len(table.truth_rows))
    counted = {name: table.labels[kinds == kind] for kind, name in enumerate(ERRORS)}
    counted[ERRORS[ErrorKind.MISSED]] = table.truth_labels[missed]
    return ErrorBudget(
        average_precision=average_precision,
        errors=dict(zip(ERRORS, areas, strict=True)),
        counts={name: np.bincount(labels, minlength=num_classes) for name, labels in counted.items()},
    )


def error_kinds(evidence: Evidence) -> Int64[np.ndarray, " D"]:
    """Return the `ErrorKind` of each detection, as `error_areas` says it; `NONE` for a true positive."""
    return np.select(
        [
            evidence.matched != NOTHING,
            evidence.reaches_own,
            evidence.at_another_time | evidence.only_time_is_off,
            evidence.has_own,
            evidence.reaches_other,
            evidence.other_iou > BACKGROUND_IOU,
        ],
        [
            ErrorKind.NONE,
            ErrorKind.DUPLICATE,
            ErrorKind.TIME,
            ErrorKind.LOCALIZATION,
            ErrorKind.CLASSIFICATION,
            ErrorKind.OTHER,
        ],
        ErrorKind.BACKGROUND,
    )


def _class_areas(ranked: RankedHits, kinds: Int64[np.ndarray, " R"], rules: Rules) -> Float64[np.ndarray, " E"]:
    """Return the area of each error of the detections of one class, surest first; 0 for `missed`."""
    areas = np.zeros(len(ERRORS))
    if ranked.num_truth == 0:
        return areas
    weights = rank_weights(ranked.hits, ranked.num_truth + rules.extra_truth, rules.area)
    ranks = 1 + np.flatnonzero(weights[1:])  # no error is made before the first detection
    for kind in range(len(ERRORS)):
        num_errors = np.cumsum(kinds == kind)[ranks - 1]
        areas[kind] = (weights[ranks] * num_errors / ranks).sum()
    return areas


def rank_weights(hits: Bool[np.ndarray, " R"], num_truth: float, area: Area) -> Float64[np.ndarray, " R+1"]:
    """Return how much the precision among the first 0, 1, ..., R detections counts in the AP.

    The AP is the sum of these precisions with these weights, where that among none is 1. (YOLO's rule adds a triangle
    behind the last recall, which has no weight here.)

    Args:
        hits: True where a detection is a true positive, surest first.
        num_truth: number of ground-truth items, above 0.
        area: how the area is measured, see `Rules.area`.
    """
    before = np.flatnonzero(hits)  # number of detections before each true positive
    after = before + 1
    num_true = np.arange(1, len(before) + 1)
    if area == "trapezoid":
        return (_count(before, hits) + _count(after, hits)) / (2 * num_truth)

    precision = num_true / after
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    peaks = np.flatnonzero(precision == envelope)
    read_at = after[peaks[np.searchsorted(peaks, num_true - 1)]]  # where the envelope has its value from
    if area == "eleven_points":
        first = np.searchsorted(10 * num_true, np.arange(11) * num_truth)
        return _count(read_at[first[first < len(num_true)]], hits) / 11
    return _count(read_at, hits) / num_truth  # trapezoids under an envelope that falls in steps are the same area


def _count(ranks: Int64[np.ndarray, " N"], hits: Bool[np.ndarray, " R"]) -> Int64[np.ndarray, " R+1"]:
    """Return how often each number of detections, from 0 to all, is in `ranks`."""
    return np.bincount(ranks, minlength=len(hits) + 1)
