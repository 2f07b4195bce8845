"""Verbs on boxes: xyxy, continuous, half-open pixels, so that a box is x2 - x1 wide, without a + 1."""

import numpy as np
from jaxtyping import Float, Float64, Int, Int64

from stal.ops.pairs import equal_pairs, survivors


def area(boxes: Float[np.ndarray, "*N 4"]) -> Float64[np.ndarray, "*N"]:
    """Return the area of every box in square pixels."""
    boxes = boxes.astype(np.float64)
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def paired_iou(a: Float[np.ndarray, "*#N 4"], b: Float[np.ndarray, "*#N 4"]) -> Float64[np.ndarray, "*N"]:
    """Return the intersection over union of `a` and `b`, row by row, in float64; 0 for boxes that only touch."""
    size = np.minimum(a[..., 2:], b[..., 2:]).astype(np.float64) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.asarray(size.clip(min=0).prod(axis=-1))
    union = area(a) + area(b) - intersection
    return np.divide(intersection, union, out=np.zeros(union.shape), where=intersection > 0)


def pairwise_iou(a: Float[np.ndarray, "N 4"], b: Float[np.ndarray, "M 4"]) -> Float64[np.ndarray, "N M"]:
    """Return the intersection over union of every box of `a` with every box of `b`."""
    return paired_iou(a[:, None], b[None])


def best_first(boxes: Float[np.ndarray, "N 4"], scores: Float[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """Return the rows by falling score, equal scores by rising coordinates: an order that no shuffle changes."""
    return np.lexsort((boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], -scores))


def suppressors(
    boxes: Float[np.ndarray, "N 4"],
    scores: Float[np.ndarray, " N"],
    groups: Int[np.ndarray, " N"],
    iou_threshold: float,
) -> Int64[np.ndarray, " N"]:
    """Run greedy non-maximum suppression in every group and return, for every box, the box that speaks for it.

    A box survives if no better survivor of its group (by `best_first`) overlaps it by `iou_threshold` or more.

    Args:
        boxes: one frame of reference for each group.
        scores: higher is surer.
        groups: boxes of different groups, such as frames or classes, do not see each other.
        iou_threshold: overlap from which on two boxes count as the same.

    Returns:
        Its own row for a survivor, else the row of the best survivor that overlaps it.
    """
    rank = np.empty(len(boxes), np.int64)
    rank[best_first(boxes, scores)] = np.arange(len(boxes))
    better, worse = equal_pairs(groups, groups)
    later = rank[better] < rank[worse]
    better, worse = better[later], worse[later]
    overlapping = paired_iou(boxes[better], boxes[worse]) >= iou_threshold
    better, worse = better[overlapping], worse[overlapping]

    survives = survivors(better, worse, len(boxes))
    heard = survives[better]
    speaker_rank = np.where(survives, rank, len(boxes))
    np.minimum.at(speaker_rank, worse[heard], rank[better[heard]])
    return np.argsort(rank)[speaker_rank]


def nms(
    boxes: Float[np.ndarray, "N 4"],
    scores: Float[np.ndarray, " N"],
    groups: Int[np.ndarray, " N"],
    iou_threshold: float,
) -> Int64[np.ndarray, " S"]:
    """Return the rows that survive greedy non-maximum suppression in their group, in rising order."""
    return np.flatnonzero(suppressors(boxes, scores, groups, iou_threshold) == np.arange(len(boxes)))
