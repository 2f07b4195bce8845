"""How much two tubes overlap in space and time, as the rules of a protocol measure it."""

from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from stal.metrics.protocol import VideoRules
from stal.metrics.tables import TubeTable
from stal.ops.boxes import paired_iou

_BOXES_AT_ONCE = 2**19  # of all pairs that are compared in one pass; more need more memory and are no faster


def overlap_of_pairs(
    a: TubeTable, a_rows: Int64[np.ndarray, " P"], b: TubeTable, b_rows: Int64[np.ndarray, " P"], rules: VideoRules
) -> tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Return the spatio-temporal overlap of pairs of tubes, and the mean spatial one over their common frames.

    Args:
        a: tubes, of boxes that are measured already.
        a_rows: of each pair, the row of its tube in `a`.
        b: tubes, as `a`.
        b_rows: of each pair, the row of its tube in `b`.
        rules: how time is counted.

    Returns:
        The overlap, and the mean IoU over the common frames, NaN without one.
    """
    num_common, overlap = _common_frames(a, a_rows, b, b_rows)
    mean = np.divide(overlap, num_common, out=np.full(len(a_rows), np.nan), where=num_common > 0)
    (a_first, a_last), (b_first, b_last) = _spans(a, a_rows), _spans(b, b_rows)
    shared = np.minimum(a_last, b_last) - np.maximum(a_first, b_first) + 1
    if rules.temporal_iou == "frame_sets":
        iou = overlap / (a.lengths[a_rows] + b.lengths[b_rows] - num_common)
    else:
        whole = np.maximum(a_last, b_last) - np.minimum(a_first, b_first) + 1
        last = 1 if rules.temporal_iou == "excluding_last" else 0
        iou = np.nan_to_num(mean) * (shared - last).clip(min=0) / (whole - last).clip(min=1)
    if rules.one_frame_overlap == "nothing":
        iou[shared <= 1] = 0
    return iou, mean


def _common_frames(
    a: TubeTable, a_rows: Int64[np.ndarray, " P"], b: TubeTable, b_rows: Int64[np.ndarray, " P"]
) -> tuple[Int64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Return how many frames the tubes of each pair have in common, and the sum of the IoU of their boxes there."""
    num_common, overlap = np.zeros(len(a_rows), np.int64), np.zeros(len(a_rows))
    if not len(a_rows):
        return num_common, overlap
    b_first, b_last = _spans(b, np.arange(len(b)))
    spans = b_last - b_first + 1
    base = np.cumsum(spans) - spans - b_first  # base[tube] + frame is a place in box_at
    box_at = np.full(spans.sum(), -1)  # of every frame in the span of every tube of b; -1 in a gap
    box_at[base[b.tube_of_box] + b.frames] = np.arange(len(b.frames))

    batch = np.cumsum(a.lengths[a_rows]) // _BOXES_AT_ONCE
    for start, end in pairwise([*np.flatnonzero(np.diff(batch, prepend=-1)).tolist(), len(a_rows)]):
        lengths = a.lengths[a_rows[start:end]]
        pair = np.repeat(np.arange(end - start), lengths)
        nth = np.arange(len(pair)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        a_box = a.offsets[a_rows[start:end]][pair] + nth
        frame, owner = a.frames[a_box], b_rows[start:end][pair]
        inside = (frame >= b_first[owner]) & (frame <= b_last[owner])
        pair, a_box = pair[inside], a_box[inside]
        b_box = box_at[base[owner[inside]] + frame[inside]]
        common = b_box >= 0
        pair, a_box, b_box = pair[common], a_box[common], b_box[common]
        num_common[start:end] = np.bincount(pair, minlength=end - start)
        ious = paired_iou(a.boxes[a_box], b.boxes[b_box])
        overlap[start:end] = np.bincount(pair, weights=ious, minlength=end - start)
    return num_common, overlap


def _spans(tubes: TubeTable, rows: Int64[np.ndarray, " P"]) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """Return the first and the last frame of tubes, given by their rows."""
    return tubes.frames[tubes.offsets[rows]], tubes.frames[tubes.offsets[rows + 1] - 1]
