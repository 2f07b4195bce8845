"""Which detection finds which ground truth at an IoU threshold."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from stal.errors import ConfigError
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules

NOTHING = -1


def match(table: OverlapTable, rules: Rules, iou_threshold: float) -> Int64[np.ndarray, " D"]:
    """Return the ground truth that each detection finds, or `NOTHING` for a false positive.

    Args:
        table: overlaps, whose pairs may be of any class; only those of one class can match.
        rules: the matching rule and whether the threshold itself is enough.
        iou_threshold: overlap that a match needs, in (0, 1].

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    if not 0 < iou_threshold <= 1:
        raise ConfigError(f"IoU threshold {iou_threshold} is outside (0, 1]")
    table = table.within_classes
    close = reaches(table.pair_iou, rules, iou_threshold)
    if rules.matching == "best_of_all":
        return _match_best_of_all(table, close)
    return _match_best_of_free(table, close)


def reaches(iou: Float64[np.ndarray, " N"], rules: Rules, iou_threshold: float) -> Bool[np.ndarray, " N"]:
    """Return which overlaps are enough for a match."""
    return iou > iou_threshold if rules.threshold == "above" else iou >= iou_threshold


def _match_best_of_all(table: OverlapTable, close: Bool[np.ndarray, " P"]) -> Int64[np.ndarray, " D"]:
    """Give each ground truth to the surest of the detections whose best one it is."""
    best = first_best_pairs(table)
    best = best[close[best]]
    detection, truth = table.pair_detection[best], table.pair_truth[best]
    best_rank = np.full(len(table.truth_rows), len(table.rows))
    rank = table.rank_in_class[detection]
    np.minimum.at(best_rank, truth, rank)
    surest = rank == best_rank[truth]
    matched = np.full(len(table.rows), NOTHING)
    matched[detection[surest]] = truth[surest]
    return matched


def _match_best_of_free(table: OverlapTable, close: Bool[np.ndarray, " P"]) -> Int64[np.ndarray, " D"]:
    """Let each detection in turn, surest first, take the free ground truth that it overlaps most.

    Each round settles every detection that is the surest one left for the ground truth it would take: no other can take
    that from it. As the surest of all is always among them, the rounds end, in practice after a few.
    """
    matched = np.full(len(table.rows), NOTHING)
    rank = table.rank_in_class
    table = table.with_pairs(close)
    while len(table.pair_iou):
        detection, truth = table.pair_detection, table.pair_truth
        best_rank = np.full(len(table.truth_rows), len(table.rows))
        np.minimum.at(best_rank, truth, rank[detection])
        best = first_best_pairs(table)
        settled = best[rank[detection[best]] == best_rank[truth[best]]]
        matched[detection[settled]] = truth[settled]
        taken = np.zeros(len(table.truth_rows), bool)
        taken[truth[settled]] = True
        table = table.with_pairs(~taken[truth] & (matched[detection] == NOTHING))
    return matched


def first_best_pairs(table: OverlapTable) -> Int64[np.ndarray, " B"]:
    """Return, for every detection that has a pair, the position of its pair of highest IoU, the first of equal ones."""
    if not len(table.pair_iou):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.diff(table.pair_detection, prepend=-1))
    lengths = np.diff(starts, append=len(table.pair_iou))
    is_best = np.flatnonzero(table.pair_iou == np.repeat(np.maximum.reduceat(table.pair_iou, starts), lengths))
    return is_best[np.diff(table.pair_detection[is_best], prepend=-1) > 0]
