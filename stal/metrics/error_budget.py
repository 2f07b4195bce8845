"""What detections overlap besides what they match: the evidence that every account of errors starts from.

Boxes and tubes are treated alike; the place that a detection shares with ground truth is a frame for boxes and a video
for tubes. `error_areas` and `fix_gains` make an `ErrorBudget` of it, each in its own way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float64, Int64

from stal.metrics.class_mean import class_mean
from stal.metrics.matching import NOTHING, first_best_pairs, match, reaches
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules

BACKGROUND_IOU = 0.1  # TIDE's: whoever overlaps no ground truth by more has found background


class ErrorKind(IntEnum):
    """What is wrong with a detection, or, for `MISSED`, with a ground-truth item."""

    NONE = -1
    LOCALIZATION = 0
    CLASSIFICATION = 1
    DUPLICATE = 2
    BACKGROUND = 3
    TIME = 4
    MISSED = 5
    OTHER = 6


ERRORS = tuple(kind.name.lower() for kind in ErrorKind if kind != ErrorKind.NONE)


@dataclass(frozen=True, eq=False)
class ErrorBudget:
    """What keeps every class from an AP of 1, error by error.

    A class without ground truth has NaN, or what its protocol counts it as.

    Attributes:
        average_precision: (K,) AP of each class, in [0, 1].
        errors: (K,) what each error costs the AP of each class, by the error's name.
        counts: (K,) number of detections of each class with the error; for `missed`, of ground-truth items.
    """

    average_precision: Float64[np.ndarray, " K"]
    errors: Mapping[str, Float64[np.ndarray, " K"]]
    counts: Mapping[str, Int64[np.ndarray, " K"]]

    @property
    def mean(self) -> dict[str, float]:
        """Return the mean over the classes of every error, by its name."""
        return {name: class_mean(per_class) for name, per_class in self.errors.items()}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What each detection overlaps in its frame or video.

    Attributes:
        matched: (D,) the ground truth that it finds, or `NOTHING`.
        own_truth: (D,) the ground truth of its class that it overlaps most, or `NOTHING` if there is none.
        own_iou: (D,) that overlap; -1 if there is no such ground truth.
        other_truth: (D,) the same for ground truth of other classes.
        other_iou: (D,) the same for ground truth of other classes.
        reaches_own: (D,) True if the overlap with `own_truth` is enough for a match.
        reaches_other: (D,) True if the overlap with `other_truth` is.
        only_time_is_off: (D,) True for a tube that overlaps `own_truth` too little, although the mean IoU over their
            common frames is the root of the threshold or more, so that it is the temporal IoU which is below that root.
            Never for a box.
        at_another_time: (D,) True if there is no ground truth on any of its frames, but some of its class in the video.
    """

    matched: Int64[np.ndarray, " D"]
    own_truth: Int64[np.ndarray, " D"]
    own_iou: Float64[np.ndarray, " D"]
    other_truth: Int64[np.ndarray, " D"]
    other_iou: Float64[np.ndarray, " D"]
    reaches_own: Bool[np.ndarray, " D"]
    reaches_other: Bool[np.ndarray, " D"]
    only_time_is_off: Bool[np.ndarray, " D"]
    at_another_time: Bool[np.ndarray, " D"]

    @property
    def has_own(self) -> Bool[np.ndarray, " D"]:
        """Return where there is ground truth of the detection's class in its frame or video."""
        return self.own_truth != NOTHING


def gather_evidence(table: OverlapTable, rules: Rules, iou_threshold: float) -> Evidence:
    """Match the detections and look at what they overlap.

    Args:
        table: overlaps with all pairs of a place, of any class, those that do not overlap among them.
        rules: the matching rule.
        iou_threshold: overlap that a match needs, in (0, 1].

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    of_other_class = table.labels[table.pair_detection] != table.truth_labels[table.pair_truth]
    own_truth, own_iou, own_spatial_iou = _most_overlapped(table.within_classes)
    other_truth, other_iou, _ = _most_overlapped(table.with_pairs(of_other_class))
    reaches_own = reaches(own_iou, rules, iou_threshold)
    return Evidence(
        matched=match(table, rules, iou_threshold),
        own_truth=own_truth,
        own_iou=own_iou,
        other_truth=other_truth,
        other_iou=other_iou,
        reaches_own=reaches_own,
        reaches_other=reaches(other_iou, rules, iou_threshold),
        only_time_is_off=~reaches_own & (own_spatial_iou >= iou_threshold**0.5),
        at_another_time=~_meets_truth(table) & _class_in_video(table),
    )


def found_truth(matched: Int64[np.ndarray, " D"], num_truth: int) -> Bool[np.ndarray, " G"]:
    """Return which ground truth some detection finds, from what `match` returns."""
    found = np.zeros(num_truth, bool)
    found[matched[matched != NOTHING]] = True
    return found


def _most_overlapped(
    table: OverlapTable,
) -> tuple[Int64[np.ndarray, " D"], Float64[np.ndarray, " D"], Float64[np.ndarray, " D"]]:
    """Return, for every detection, the ground truth of its best pair, its IoU and its spatial IoU.

    Without a pair they are `NOTHING`, -1 and NaN; the spatial IoU of boxes is NaN too.
    """
    best = first_best_pairs(table)
    detection = table.pair_detection[best]
    truth, iou = np.full(len(table.rows), NOTHING), np.full(len(table.rows), -1.0)
    spatial_iou = np.full(len(table.rows), np.nan)
    truth[detection], iou[detection] = table.pair_truth[best], table.pair_iou[best]
    if table.pair_spatial_iou is not None:
        spatial_iou[detection] = table.pair_spatial_iou[best]
    return truth, iou, spatial_iou


def _meets_truth(table: OverlapTable) -> Bool[np.ndarray, " D"]:
    """Return which detections share a frame with ground truth of any class."""
    meets = np.zeros(len(table.rows), bool)
    detection = table.pair_detection
    if table.pair_spatial_iou is not None:
        detection = detection[~np.isnan(table.pair_spatial_iou)]
    meets[detection] = True
    return meets


def _class_in_video(table: OverlapTable) -> Bool[np.ndarray, " D"]:
    """Return which detections have ground truth of their class somewhere in their video."""
    num_videos = 1 + max(table.videos.max(initial=-1), table.truth_videos.max(initial=-1))
    num_classes = 1 + max(table.labels.max(initial=-1), table.truth_labels.max(initial=-1))
    present = np.zeros((num_videos, num_classes), bool)
    present[table.truth_videos, table.truth_labels] = True
    return present[table.videos, table.labels]
