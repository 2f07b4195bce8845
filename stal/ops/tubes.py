"""Verbs on tubes: their overlap in space and time, and the boxes between their boxes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64

from stal.ops.boxes import paired_iou
from stal.ops.pairs import equal_pairs
from stal.structures import Tube


def tube_iou(a: Tube, b: Tube) -> float:
    """Return the spatio-temporal intersection over union of two tubes of one video.

    It is temporal IoU x mean spatial IoU over the common frames, which is the sum of the spatial IoU over the common
    frames / the number of frames that either tube has (Weinzaepfel et al., ICCV 2015). Frames count as a set,
    so tubes with gaps are measured as they are.
    """
    common, in_a, in_b = np.intersect1d(a.frames, b.frames, assume_unique=True, return_indices=True)
    return float(paired_iou(a.boxes[in_a], b.boxes[in_b]).sum() / (len(a) + len(b) - len(common)))


def tube_iou_pairs(
    a: Sequence[Tube], a_groups: Int[np.ndarray, " N"], b: Sequence[Tube], b_groups: Int[np.ndarray, " M"]
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Compute `tube_iou` of all pairs of tubes of the same group that have a frame in common, in one pass.

    Args:
        a: tubes.
        a_groups: group of each tube of `a`; tubes of different groups (videos, classes) are never compared.
        b: tubes.
        b_groups: group of each tube of `b`.

    Returns:
        Positions in `a`, positions in `b`, and the IoU of each pair, ordered by position in `a`, then in `b`.
    """
    if not a or not b:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    a_owner, a_frames, a_boxes = _flatten(a)
    b_owner, b_frames, b_boxes = _flatten(b)
    period = max(a_frames.max(), b_frames.max()) + 1
    i, j = equal_pairs(a_groups[a_owner] * period + a_frames, b_groups[b_owner] * period + b_frames)
    pairs, pair_of_row = np.unique(a_owner[i] * len(b) + b_owner[j], return_inverse=True)
    a_index, b_index = pairs // len(b), pairs % len(b)
    overlap = np.bincount(pair_of_row, weights=paired_iou(a_boxes[i], b_boxes[j]), minlength=len(pairs))
    num_common = np.bincount(pair_of_row, minlength=len(pairs))
    num_either = np.bincount(a_owner)[a_index] + np.bincount(b_owner)[b_index] - num_common
    return a_index, b_index, overlap / num_either


def _flatten(
    tubes: Sequence[Tube],
) -> tuple[Int64[np.ndarray, " R"], Int64[np.ndarray, " R"], Float32[np.ndarray, "R 4"]]:
    """Return the tube, the frame and the box of every row of all tubes."""
    owner = np.repeat(np.arange(len(tubes)), [len(tube) for tube in tubes])
    return owner, np.concatenate([t.frames for t in tubes]), np.concatenate([t.boxes for t in tubes])


def interpolate_boxes(
    frames: Int64[np.ndarray, " T"], boxes: Float32[np.ndarray, "T 4"]
) -> tuple[Int64[np.ndarray, " F"], Float32[np.ndarray, "F 4"]]:
    """Fill the gaps between strictly increasing `frames` by linear interpolation of the boxes.

    Returns:
        Every frame from the first to the last, and its box; given boxes are kept as they are.
    """
    every, filled = interpolate_frames(frames, boxes[None])
    return every, filled[0]


def interpolate_frames(
    frames: Int64[np.ndarray, " T"], values: Float[np.ndarray, "N T *D"]
) -> tuple[Int64[np.ndarray, " F"], Float[np.ndarray, "N F *D"]]:
    """Fill the gaps between strictly increasing `frames` by linear interpolation of values on those frames.

    Returns:
        Every frame from the first to the last, and the values on it; given values are kept as they are.
    """
    every = np.arange(frames[0], frames[-1] + 1)
    if len(every) == len(frames):
        return every, values
    before = (np.searchsorted(frames, every, side="right") - 1).clip(max=len(frames) - 2)
    weight = (every - frames[before]) / (frames[before + 1] - frames[before])
    weight = weight.astype(values.dtype).reshape(1, -1, *[1] * (values.ndim - 2))
    return every, (1 - weight) * values[:, before] + weight * values[:, before + 1]
