"""What fixing each error would bring (TIDE: Bolya et al., ECCV 2020)."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from stal.metrics.average_precision import RankedHits, class_average_precision
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

MISSED = ERRORS[ErrorKind.MISSED]
FALSE_POSITIVES = "false_positives"
FALSE_NEGATIVES = "false_negatives"


def fix_gains(table: OverlapTable, rules: Rules, iou_threshold: float, num_classes: int) -> ErrorBudget:
    """Compute the AP that every class would gain if one kind of error alone were fixed; the gains do not add up.

    The errors of the detections that are no true positives, the first that holds, in the order of TIDE:

    - `time`: there is no ground truth on any of its frames, but some of its class in the video.
    - `localization`: the highest IoU with ground truth of its class is 0.1 or more, but not enough; for a tube, `time`,
      if over the frames that it shares with that ground truth the mean IoU is the root of the threshold or more.
    - `classification`: it overlaps ground truth of another class enough.
    - `duplicate`: it overlaps ground truth of its class enough, which a surer detection has found.
    - `background`: it overlaps no ground truth by more than 0.1.
    - `other`: everything else; both class and place are wrong (`Both`).
    - `missed`: a ground-truth item that is not found, and that no `localization`, `classification` or `time` error
      would find if it were fixed.

    TIDE has no `time`. Its `Bkg` is background and those time errors that no ground truth is on the frames of, its
    `Loc` is localization and the other ones. An IoU that is just enough is a duplicate here, and `Loc` there.

    The fix: a localization, classification or time error becomes a true positive of the ground truth that it overlaps
    most (of its class, or of another one), under the class of that and with its own score. If that is found already, or
    a surer one of these errors would find it, it is removed, and so are all other false positives. A missed item is no
    longer counted. `false_positives` is the gain if all of them were removed, `false_negatives` if no item that is not
    found were counted.

    TIDE measures the AP by 101 recalls; here it is measured by the rules of the protocol. A class that keeps no ground
    truth keeps its AP of 0.

    Args:
        table: overlaps with all pairs of a place, of any class, those that do not overlap among them.
        rules: the matching rule and the area under the curve.
        iou_threshold: overlap that a hit needs, in (0, 1].
        num_classes: number of classes of the data set.

    Returns:
        The gains by error. A class without ground truth has NaN, or 0 if its protocol counts it as 0.

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    evidence = gather_evidence(table, rules, iou_threshold)
    kinds = _kinds(evidence)
    hits = evidence.matched != NOTHING
    found = found_truth(evidence.matched, len(table.truth_rows))
    ranking, rank = table.within_classes.ranking, table.within_classes.rank
    targets, corrected = _corrections(rank, evidence, kinds, found)
    corrected_labels = table.labels.copy()
    corrected_labels[corrected] = table.truth_labels[targets[corrected]]
    missed = ~found
    missed[targets[targets != NOTHING]] = False

    def count(labels: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " K"]:
        return np.bincount(labels, minlength=num_classes)

    num_truth = count(table.truth_labels)
    before = _average_precisions(ranking, table.labels, hits, num_truth, rules)
    after = {
        FALSE_POSITIVES: _average_precisions(ranking[hits[ranking]], table.labels, hits, num_truth, rules),
        FALSE_NEGATIVES: _average_precisions(ranking, table.labels, hits, count(table.truth_labels[found]), rules),
        MISSED: _average_precisions(ranking, table.labels, hits, count(table.truth_labels[~missed]), rules),
    }
    for kind, name in enumerate(ERRORS):
        if name != MISSED:
            wrong = kinds == kind
            fixed = wrong & corrected
            left = ranking[(~wrong | fixed)[ranking]]
            labels = np.where(fixed, corrected_labels, table.labels)
            after[name] = _average_precisions(left, labels, hits | fixed, num_truth, rules)

    counts = {name: count(table.labels[kinds == kind]) for kind, name in enumerate(ERRORS)}
    counts[MISSED] = count(table.truth_labels[missed])
    counts[FALSE_POSITIVES] = count(table.labels[~hits])
    counts[FALSE_NEGATIVES] = count(table.truth_labels[~found])
    gains = {name: np.where(np.isnan(after[name]), before, after[name]) - before for name in counts}
    return ErrorBudget(average_precision=before, errors=gains, counts=counts)


def _kinds(evidence: Evidence) -> Int64[np.ndarray, " D"]:
    """Return the `ErrorKind` of each detection."""
    overlaps_own = (evidence.own_iou >= BACKGROUND_IOU) & ~evidence.reaches_own
    return np.select(
        [
            evidence.matched != NOTHING,
            evidence.at_another_time | (overlaps_own & evidence.only_time_is_off),
            overlaps_own,
            evidence.reaches_other,
            evidence.reaches_own,
            np.maximum(evidence.own_iou, evidence.other_iou) <= BACKGROUND_IOU,
        ],
        [
            ErrorKind.NONE,
            ErrorKind.TIME,
            ErrorKind.LOCALIZATION,
            ErrorKind.CLASSIFICATION,
            ErrorKind.DUPLICATE,
            ErrorKind.BACKGROUND,
        ],
        ErrorKind.OTHER,
    )


def _corrections(
    rank: Int64[np.ndarray, " D"],
    evidence: Evidence,
    kinds: Int64[np.ndarray, " D"],
    found: Bool[np.ndarray, " G"],
) -> tuple[Int64[np.ndarray, " D"], Bool[np.ndarray, " D"]]:
    """Return the unfound ground truth that each detection is meant for, or `NOTHING`, and which is the surest one."""
    misplaced = (kinds == ErrorKind.LOCALIZATION) | ((kinds == ErrorKind.TIME) & ~evidence.at_another_time)
    targets = np.where(misplaced, evidence.own_truth, NOTHING)
    targets = np.where(kinds == ErrorKind.CLASSIFICATION, evidence.other_truth, targets)
    meant = np.flatnonzero(targets != NOTHING)
    targets[meant[found[targets[meant]]]] = NOTHING
    meant = np.flatnonzero(targets != NOTHING)
    best_rank = np.full(len(found), len(rank))
    np.minimum.at(best_rank, targets[meant], rank[meant])
    corrected = np.zeros(len(rank), bool)
    corrected[meant] = rank[meant] == best_rank[targets[meant]]
    return targets, corrected


def _average_precisions(
    rows: Int64[np.ndarray, " R"],
    labels: Int64[np.ndarray, " D"],
    hits: Bool[np.ndarray, " D"],
    num_truth: Int64[np.ndarray, " K"],
    rules: Rules,
) -> Float64[np.ndarray, " K"]:
    """Return the AP of every class.

    Args:
        rows: the detections that are left, surest first.
        labels: the class of every detection.
        hits: True where a detection is a true positive.
        num_truth: number of ground-truth items of each class.
        rules: the area under the curve.
    """
    labels = labels[rows]
    # Few classes fit in 16 bits, which NumPy sorts by counting.
    order = np.argsort(labels.astype(np.int16 if len(num_truth) < 2**15 else np.int64), kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=len(num_truth)))
    return np.array(
        [
            class_average_precision(RankedHits(of_class, hits[of_class], int(n)), rules)
            for of_class, n in zip(np.split(rows[order], ends[:-1]), num_truth, strict=True)
        ],
        np.float64,
    )
