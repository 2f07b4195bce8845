"""Whether actions are told apart: the action that each annotated actor is taken for, and the group that fares worst."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import csr_array

from stal.metrics.headlines import percent
from stal.metrics.matching import NOTHING
from stal.metrics.overlaps import OverlapTable
from stal.metrics.tables import Tables

ACTOR_ACCURACY = "actor_accuracy"
WORST_GROUP_ACCURACY = "worst_group_accuracy"
IOU_THRESHOLD = 0.5
MIN_GROUP_TUBES = 15  # of fewer, some group is often all wrong by chance


@dataclass(frozen=True, eq=False)
class ActorAccuracy:
    """How many of the annotated tubes are taken for their action, in each of B test sets.

    Attributes:
        accuracies: by name, (B,) fractions in [0, 1]: `actor_accuracy`, over all tubes, NaN without any, and
            `worst_group_accuracy`, over the tubes of the (action, scene) group in which it is lowest, NaN where there
            is no group.
        num_classes: number of classes of the data set.
        majority: the share of the most common class among the tubes, in [0, 1]; NaN without tubes.
        num_not_found: tubes that no detection is on.
        worst_group: label, scene and number of tubes of the group that is lowest in the first test set; None if there
            is no group.
        groups: label and scene of each group with at least `min_tubes` tubes.
        num_groups_left_out: number of groups with fewer.
        min_tubes: tubes that a group needs.
    """

    accuracies: dict[str, Float64[np.ndarray, " B"]]
    num_classes: int
    majority: float
    num_not_found: int
    worst_group: tuple[int, str, int] | None
    groups: tuple[tuple[int, str], ...]
    num_groups_left_out: int
    min_tubes: int


def actor_accuracy(
    tables: Tables, table: OverlapTable, counts: Float64[np.ndarray, "V B"], *, min_tubes: int = MIN_GROUP_TUBES
) -> ActorAccuracy:
    """Return how many of the annotated tubes are taken for their action, of all and of the worst group.

    Unlike an mAP it asks only which action an actor is taken for: wrong places cost nothing, as long as some box is on
    the actor, and scores are compared within one actor. Where a set shows scenes without actors, it says how much of an
    action is read from its scene; a guess is right 1/K of the time, and always naming the most common class `majority`
    of it, which is never less.

    The worst group over (action, scene) is that of GroupDRO (Sagawa et al. 2020, arXiv 1911.08731). It is the lowest of
    many numbers of few tubes each, and so lies below what the same detector would show there on more videos; the more
    so, the smaller the groups. Compare it only between sets whose groups are alike.

    Args:
        tables: what is evaluated, with the scenes of its videos.
        table: the boxes of `tables`, with the pairs of all classes.
        counts: how often each video counts in each test set, as `draw_videos` gives it.
        min_tubes: tubes that an (action, scene) group needs among the videos as they are; others are left out. A group
            that a test set has nothing of does not count there.
    """
    truth = tables.truth
    taken = taken_for(tables, table)
    hits = taken == truth.labels
    num_videos = len(tables.num_frames)
    total = np.bincount(truth.videos, minlength=num_videos) @ counts
    right = np.bincount(truth.videos, weights=hits, minlength=num_videos) @ counts

    of_videos = tables.scenes or (None,) * num_videos
    scenes = sorted({scene for scene in of_videos if scene is not None})
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(scenes)} | {None: NOTHING}
    scene = np.array([numbers[name] for name in of_videos], np.int64)[truth.videos]
    in_scene = scene != NOTHING
    keys, group, sizes = np.unique(
        truth.labels[in_scene] * len(scenes) + scene[in_scene], return_inverse=True, return_counts=True
    )
    large = np.flatnonzero(sizes >= min_tubes)
    of_groups = _accuracy_of_groups(group, truth.videos[in_scene], hits[in_scene], counts, len(keys))[large]
    groups = tuple((key // len(scenes), scenes[key % len(scenes)]) for key in keys[large].tolist())
    worst = None
    if groups:
        lowest = np.argmin(of_groups[:, 0])
        worst = *groups[lowest], int(sizes[large[lowest]])
    lowest_of_sets = np.where(np.isnan(of_groups), np.inf, of_groups).min(axis=0, initial=np.inf)
    return ActorAccuracy(
        accuracies={
            ACTOR_ACCURACY: np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0),
            WORST_GROUP_ACCURACY: np.where(np.isfinite(lowest_of_sets), lowest_of_sets, np.nan),
        },
        num_classes=tables.num_classes,
        majority=float(np.bincount(truth.labels).max() / len(truth)) if len(truth) else np.nan,
        num_not_found=int((taken == NOTHING).sum()),
        worst_group=worst,
        groups=groups,
        num_groups_left_out=len(keys) - len(large),
        min_tubes=min_tubes,
    )


def taken_for(tables: Tables, table: OverlapTable) -> Int64[np.ndarray, " G"]:
    """Return the class that each annotated tube is taken for, `NOTHING` where no detection is on it.

    It is the class whose detections have the largest summed score, of all detections on the tube's frames with an IoU
    of 0.5 or more with its box there; the first one of equal sums. A detection may speak for several tubes.

    Args:
        tables: what is evaluated.
        table: its boxes, with the pairs of all classes.
    """
    num_tubes, num_classes = len(tables.truth), tables.num_classes
    if num_tubes == 0:
        return np.zeros(0, np.int64)
    enough = table.pair_iou >= IOU_THRESHOLD
    tube = tables.truth.tube_of_box[table.truth_rows[table.pair_truth[enough]]]
    detection = table.pair_detection[enough]
    cell = tube * num_classes + table.labels[detection]
    num_cells = num_tubes * num_classes
    sums = np.bincount(cell, weights=table.scores[detection], minlength=num_cells)
    # Where scores are negative, as logits are, a class without detections must not win by its 0.
    sums = np.where(np.bincount(cell, minlength=num_cells) > 0, sums, -np.inf).reshape(num_tubes, num_classes)
    best = sums.argmax(axis=1)
    return np.where(np.isfinite(sums.max(axis=1)), best, NOTHING)


def describe_actor_accuracy(accuracy: ActorAccuracy, classes: Sequence[str]) -> dict[str, Any]:
    """Return what is behind the accuracies, as it is written to metrics.json under `actors`."""
    worst = None
    if accuracy.worst_group is not None:
        label, scene, num_tubes = accuracy.worst_group
        worst = {"action": classes[label], "scene": scene, "num_tubes": num_tubes}
    return {
        "chance": 100 / accuracy.num_classes if accuracy.num_classes else None,
        "majority": percent(accuracy.majority),
        "iou_threshold": IOU_THRESHOLD,
        "num_not_found": accuracy.num_not_found,
        "worst_group": worst,
        "num_groups": len(accuracy.groups),
        "num_groups_left_out": accuracy.num_groups_left_out,
        "min_tubes": accuracy.min_tubes,
    }


def _accuracy_of_groups(
    group: Int64[np.ndarray, " G"],
    videos: Int64[np.ndarray, " G"],
    hits: Bool[np.ndarray, " G"],
    counts: Float64[np.ndarray, "V B"],
    num_groups: int,
) -> Float64[np.ndarray, "N B"]:
    """Return the fraction of the tubes of each group that are hits in each test set, NaN where it has none there."""
    shape = (num_groups, len(counts))
    total = csr_array((np.ones(len(group)), (group, videos)), shape=shape) @ counts
    right = csr_array((hits.astype(np.float64), (group, videos)), shape=shape) @ counts
    return np.divide(right, total, out=np.full(total.shape, np.nan), where=total > 0)
