"""MaxBoxAccV2-3D: how well the maps of classes over clips locate who acts, at the best threshold.

MaxBoxAccV2 (Choe, Oh, Lee, Chun, Akata, Shim, "Evaluating Weakly Supervised Object Localization Methods Right", CVPR
2020, arXiv 2001.07437) is the mean over delta in {0.3, 0.5, 0.7} of the share of images in which a box around one of
the contours of a map over a threshold has an IoU of delta or more with an annotated box. The threshold is the best for
each delta, of 1,000 from 0 up in steps of 0.001. Here a map is over a clip: its connected components, in space and
time, take the place of contours, a tube with a box on every frame that of a box, and the IoU is that of tubes. A map is
of a class that acts in its clip: it is asked where, and not what. A clip in which two classes act has two maps.

Choe et al. choose the thresholds on the very set that is tested, which is what the best possible choice would give.
Thresholds that were chosen on another set with boxes say what a user gets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from stal.ops.boxes import paired_iou
from stal.ops.components import flood_components, has_area

MAX_BOX_ACC = "MaxBoxAccV2-3D"
DELTAS = (0.3, 0.5, 0.7)
THRESHOLDS = np.arange(1000) / 1000


@dataclass(frozen=True, eq=False)
class MapOverlaps:
    """How much the M maps of a set overlap those who act.

    Attributes:
        videos: (M,) row of the video of each.
        overlaps: (M, L) at each of `THRESHOLDS`, as of `best_overlaps`.
    """

    videos: Int64[np.ndarray, " M"]
    overlaps: Float32[np.ndarray, "M L"]


@dataclass(frozen=True)
class BoxThresholds:
    """The thresholds that boxes are made with.

    Attributes:
        values: by delta.
        chosen_on: name of the set that they are the best on; None for the very set that is tested.
    """

    values: Mapping[float, float]
    chosen_on: str | None


@dataclass(frozen=True, eq=False)
class MaxBoxAccuracy:
    """How many of the maps locate someone who acts, in each of B test sets.

    Attributes:
        accuracies: by name, (B,) fractions in [0, 1], NaN without maps: `MaxBoxAccV2-3D`, the mean of the others, and
            `MaxBoxAcc-3D@delta` for each delta.
        thresholds: those that were used; if they are the best of each test set, those of the first.
        num_maps: how many maps there are.
    """

    accuracies: dict[str, Float64[np.ndarray, " B"]]
    thresholds: BoxThresholds
    num_maps: int


def best_overlaps(
    maps: Float[np.ndarray, "N T H W"], tubes: Sequence[Float[np.ndarray, "_ T 4"]]
) -> Float32[np.ndarray, "N L"]:
    """Return the largest IoU of a component of each map with one of its tubes, at each of `THRESHOLDS`.

    Args:
        maps: from 0 to 1.
        tubes: for each map those of the actors that it may locate, xyxy half-open pixels of the map; zero on frames
            without a box.

    Returns:
        0 where a map has no component or no tube.
    """
    flooded = flood_components(maps, THRESHOLDS)
    best = np.zeros((len(maps), len(THRESHOLDS)), np.float32)
    for number, (of_map, truth) in enumerate(zip(best, tubes, strict=True)):
        rows = np.flatnonzero(flooded.maps == number)
        overlaps = _tube_iou(flooded.boxes[rows], truth).max(axis=1, initial=0)
        starts, lengths = flooded.starts[rows], (flooded.stops - flooded.starts)[rows]
        nth = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        np.maximum.at(of_map, np.repeat(starts, lengths) + nth, np.repeat(overlaps, lengths))
    return best


def max_box_accuracy(
    maps: MapOverlaps, counts: Float64[np.ndarray, "V B"], fixed: BoxThresholds | None = None
) -> MaxBoxAccuracy:
    """Return how many of the maps locate someone who acts.

    Args:
        maps: of a set of videos.
        counts: how often each video counts in each test set, as `draw_videos` gives it.
        fixed: thresholds that were chosen before; None for the best of each test set, the lowest of equally good ones.
    """
    num_videos, num_sets = counts.shape
    num_maps = np.bincount(maps.videos, minlength=num_videos) @ counts
    accuracies: dict[str, Float64[np.ndarray, " B"]] = {}
    used: dict[float, float] = {}
    for delta in DELTAS:
        hits = np.zeros((num_videos, len(THRESHOLDS)))
        np.add.at(hits, maps.videos, maps.overlaps >= np.float32(delta))
        found = hits.T @ counts
        chosen = found[:, 0].argmax() if fixed is None else np.abs(THRESHOLDS - fixed.values[delta]).argmin()
        used[delta] = float(THRESHOLDS[chosen])
        best = found.max(axis=0) if fixed is None else found[chosen]
        share = np.divide(best, num_maps, out=np.full(num_sets, np.nan), where=num_maps > 0)
        accuracies[max_box_acc_name(delta)] = share
    mean = np.mean(list(accuracies.values()), axis=0)
    chosen_on = None if fixed is None else fixed.chosen_on
    return MaxBoxAccuracy({MAX_BOX_ACC: mean, **accuracies}, BoxThresholds(used, chosen_on), len(maps.videos))


def max_box_acc_name(delta: float) -> str:
    """Return the name of the accuracy at an IoU of `delta`."""
    return f"MaxBoxAcc-3D@{delta}"


def describe_max_box_accuracy(accuracy: MaxBoxAccuracy) -> dict[str, Any]:
    """Return what is behind the accuracies, as it is written to metrics.json under `max_box_acc`."""
    return {
        "thresholds": {str(delta): threshold for delta, threshold in accuracy.thresholds.values.items()},
        "thresholds_chosen_on": accuracy.thresholds.chosen_on or "the same set",
        "num_maps": accuracy.num_maps,
    }


def _tube_iou(a: Float[np.ndarray, "N T 4"], b: Float[np.ndarray, "M T 4"]) -> Float64[np.ndarray, "N M"]:
    """Return the `tube_iou` of every pair of tubes over the same frames, on which those without an area have no box."""
    overlap = paired_iou(a[:, None], b[None]).sum(-1)
    num_either = (has_area(a)[:, None] | has_area(b)[None]).sum(-1)
    return np.divide(overlap, num_either, out=np.zeros(overlap.shape), where=num_either > 0)
