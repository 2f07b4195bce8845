"""mAP of slow, medium and fast actors, and of small, medium and large ones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from stal.metrics.average_precision import MeanAveragePrecision, RankedHits, class_average_precision, ranked_hits
from stal.metrics.matching import NOTHING, match
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules
from stal.metrics.tables import Tables, TubeTable
from stal.ops.boxes import area, paired_iou

MOTION_STRATA = ("slow", "medium", "fast")
SIZE_STRATA = ("small", "medium", "large")
NUM_FRAMES_APART = 10
FAST_BELOW_IOU, SLOW_ABOVE_IOU = 0.7, 0.9
SMALL_BELOW_AREA, LARGE_FROM_AREA = 32.0**2, 96.0**2
EVERY = -1


@dataclass(frozen=True, eq=False)
class Strata:
    """The stratum of everything in an `OverlapTable`.

    Attributes:
        names: of the strata.
        truth: (G,) the stratum of each ground-truth item, a position in `names`.
        detections: (D,) the stratum of each detection; None if only ground truth has one.
    """

    names: tuple[str, ...]
    truth: Int64[np.ndarray, " G"]
    detections: Int64[np.ndarray, " D"] | None


@dataclass(frozen=True, eq=False)
class Stratum:
    """The mAP of a part of the ground truth.

    Attributes:
        name: of the stratum.
        num_truth: (K,) number of ground-truth items of each class in it.
        average_precision: AP of every class; NaN where there is no such item.
    """

    name: str
    num_truth: Int64[np.ndarray, " K"]
    average_precision: MeanAveragePrecision


def motion_strata(tables: Tables, table: OverlapTable) -> Strata:
    """Return how fast the actors move, by the mean IoU of their own boxes 10 frames apart, see `motion_iou`.

    An actor above 0.9 is slow, below 0.7 fast, and medium from 0.7 to 0.9, the bounds of FGFA (Zhu et al., ICCV 2017),
    which averages over all frames up to 10 apart. A box has the stratum of its tube. Detections have none.

    Args:
        tables: what is evaluated.
        table: the overlaps of its boxes or of its tubes.
    """
    iou = motion_iou(tables.truth)
    of_tube = np.where(iou > SLOW_ABOVE_IOU, 0, np.where(iou >= FAST_BELOW_IOU, 1, 2))
    of_item = of_tube if _is_of_tubes(table) else of_tube[tables.truth.tube_of_box]
    return Strata(MOTION_STRATA, of_item[table.truth_rows], None)


def size_strata(tables: Tables, table: OverlapTable) -> Strata:
    """Return how large actors and detections are, by COCO's bounds: 32 x 32 and 96 x 96 square pixels.

    The size of a tube is the mean area of its boxes. Coordinates are taken as they are stored, under any protocol.

    Args:
        tables: what is evaluated.
        table: the overlaps of its boxes or of its tubes.
    """
    bounds = [SMALL_BELOW_AREA, LARGE_FROM_AREA]
    if _is_of_tubes(table):
        truth_areas, areas = mean_areas(tables.truth), mean_areas(tables.tubes)
    else:
        truth_areas, areas = area(tables.truth.boxes), area(tables.boxes.boxes)
    truth, detections = (np.searchsorted(bounds, sizes, side="right") for sizes in (truth_areas, areas))
    return Strata(SIZE_STRATA, truth[table.truth_rows], detections[table.rows])


def stratified_average_precision(
    table: OverlapTable, strata: Strata, rules: Rules, iou_threshold: float, num_classes: int
) -> list[Stratum]:
    """Compute the mAP of every stratum.

    Detections are matched with all ground truth, as for the mAP. Then, as in COCO, those that found an item outside
    the stratum are ignored: they are neither hits nor false positives. Where detections have a stratum, false positives
    outside it are ignored too; where they have none, as for motion, false positives count in every stratum.

    Args:
        table: overlaps of boxes or of tubes.
        strata: the stratum of everything in it.
        rules: the matching rule and the area under the curve.
        iou_threshold: overlap that a hit needs, in (0, 1].
        num_classes: number of classes of the data set.

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    matched = match(table, rules, iou_threshold)
    is_hit = matched != NOTHING
    of_detection = np.full(len(matched), EVERY) if strata.detections is None else strata.detections.copy()
    of_detection[is_hit] = strata.truth[matched[is_hit]]
    ranked = ranked_hits(table, matched, num_classes)
    result = []
    for stratum, name in enumerate(strata.names):
        counts = (of_detection == stratum) | (of_detection == EVERY)
        num_truth = np.bincount(table.truth_labels[strata.truth == stratum], minlength=num_classes)
        per_class = [
            _average_precision(of_class, counts, int(n), rules) for of_class, n in zip(ranked, num_truth, strict=True)
        ]
        result.append(Stratum(name, num_truth, MeanAveragePrecision(np.array(per_class, np.float64))))
    return result


def _average_precision(ranked: RankedHits, counts: Bool[np.ndarray, " D"], num_truth: int, rules: Rules) -> float:
    """Return the AP of the detections that count, of those of one class; NaN without ground truth."""
    if num_truth == 0:
        return float("nan")
    counts = counts[ranked.rows]
    return class_average_precision(RankedHits(ranked.rows[counts], ranked.hits[counts], num_truth), rules)


def motion_iou(tubes: TubeTable) -> Float64[np.ndarray, " N"]:
    """Return the mean IoU of each tube's boxes with its own boxes 10 frames later: high for a slow actor.

    A tube without two boxes 10 frames apart takes the longest shorter distance that it has; one without any two boxes
    as near as that, such as a single box, is slow, with an IoU of 1. Coordinates are taken as they are stored.
    """
    iou = np.ones(len(tubes))
    owner = tubes.tube_of_box
    span = int(tubes.frames.max(initial=0)) + NUM_FRAMES_APART + 1
    places = owner * span + tubes.frames  # rising: tube by tube, frame by frame
    unknown = np.ones(len(tubes), bool)
    for distance in range(NUM_FRAMES_APART, 0, -1):
        earlier = np.flatnonzero(unknown[owner])
        later = np.searchsorted(places, places[earlier] + distance).clip(max=len(places) - 1)
        paired = places[later] == places[earlier] + distance
        earlier, later = earlier[paired], later[paired]
        num_pairs = np.bincount(owner[earlier], minlength=len(tubes))
        ious = paired_iou(tubes.boxes[earlier], tubes.boxes[later])
        totals = np.bincount(owner[earlier], weights=ious, minlength=len(tubes))
        np.divide(totals, num_pairs, out=iou, where=num_pairs > 0)
        unknown &= num_pairs == 0
    return iou


def mean_areas(tubes: TubeTable) -> Float64[np.ndarray, " N"]:
    """Return the mean area of each tube's boxes in square pixels."""
    return np.bincount(tubes.tube_of_box, weights=area(tubes.boxes), minlength=len(tubes)) / tubes.lengths


def _is_of_tubes(table: OverlapTable) -> bool:
    return table.pair_spatial_iou is not None
