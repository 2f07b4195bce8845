"""Rows of boxes become tubes: by the identity that a format gives them, or else by their overlap."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.optimize import linear_sum_assignment

from stal.errors import ShapeError
from stal.ops.boxes import paired_iou
from stal.ops.pairs import equal_pairs
from stal.structures import Tube

_MAX_COORDINATE = 1e6  # no video has so many pixels, and float32 still tells sixteenths of them apart


def tubes_of_boxes(
    frames: Int64[np.ndarray, " N"],
    boxes: Float64[np.ndarray, "N 4"],
    labels: Int64[np.ndarray, " N"],
    identities: Int64[np.ndarray, " N"] | None = None,
    *,
    dropped: Counter[str],
) -> tuple[Tube, ...]:
    """Make tubes of the boxes of one video, without those that say nothing: all readers of boxes drop the same.

    These are rows that are there before in all they say, and boxes whose width or height is 0.

    Args:
        frames: 0-based frames of the video.
        boxes: xyxy half-open pixels of the video.
        labels: 0-based classes.
        identities: number of the actor; None joins boxes by their overlap.
        dropped: what is dropped is counted here.

    Raises:
        ShapeError: a box is none, a frame or a class is negative, or an actor has two boxes of one class on a frame.
    """
    is_far = ~(np.abs(boxes) < _MAX_COORDINATE).all(axis=1)
    if is_far.any():
        raise ShapeError(
            f"a box is {boxes[is_far.argmax()].tolist()}, and {is_far.sum()} of {len(boxes)} are like it: corners are "
            f"pixels of a video, below {_MAX_COORDINATE:.0e}"
        )
    corners = boxes.astype(np.float32)
    keys = (*corners.T, labels, frames) if identities is None else (*corners.T, labels, identities, frames)
    order = np.lexsort(keys)
    is_repeated = np.zeros(len(frames), bool)
    is_repeated[order[1:]] = np.all([np.diff(key[order]) == 0 for key in keys], axis=0)
    is_empty = (corners[:, :2] == corners[:, 2:]).any(axis=1) & ~is_repeated
    for what, rows in (("that are there before", is_repeated), ("without area", is_empty)):
        if rows.any():
            dropped[what] += int(rows.sum())
    kept = ~(is_repeated | is_empty)
    if identities is None:
        return join_boxes(frames[kept], corners[kept], labels[kept])
    return group_boxes(frames[kept], corners[kept], labels[kept], identities[kept])


def log_dropped(logger: logging.Logger, path: Path, dropped: Counter[str]) -> None:
    """Log the counts of `tubes_of_boxes`.

    Args:
        logger: of the reader.
        path: of the annotations.
        dropped: numbers of boxes by what they are.
    """
    if dropped:
        logger.warning("%s: dropped boxes: %s", path, ", ".join(f"{n} {what}" for what, n in sorted(dropped.items())))


def join_boxes(
    frames: Int64[np.ndarray, " N"],
    boxes: Float32[np.ndarray, "N 4"],
    labels: Int64[np.ndarray, " N"],
    *,
    min_iou: float = 0.3,
) -> tuple[Tube, ...]:
    """Join the boxes of one video, which have no identity, to tubes.

    From a frame to the next one, the boxes of a class are matched so that the sum of their overlaps is largest (Kuhn,
    The Hungarian method for the assignment problem, 1955). A tube ends where its box has no match, and every box is in
    one tube. The tubes do not depend on the order of the rows.

    Args:
        frames: 0-based frames of the video.
        boxes: xyxy half-open pixels of the video.
        labels: 0-based classes.
        min_iou: overlap from which on two boxes may be the same actor; boxes that do not overlap never are.

    Returns:
        The tubes, numbered by their first frame, then by class and the coordinates of their first box.

    Raises:
        ShapeError: a box is not finite or has no area, or a frame or a class is negative.
    """
    order = np.lexsort((*boxes.T[::-1], labels, frames))
    frames, boxes, labels = frames[order], boxes[order], labels[order]
    names, class_index = np.unique(labels, return_inverse=True)
    times, time_index = np.unique(frames, return_inverse=True)
    group = time_index * len(names) + class_index
    has_next = np.flatnonzero(np.append(np.diff(times) == 1, False)[time_index])
    before, after = equal_pairs(group[has_next] + len(names), group)
    before = has_next[before]
    overlap = paired_iou(boxes[before], boxes[after])
    possible = (overlap >= min_iou) & (overlap > 0)
    before, after = _match(before[possible], after[possible], overlap[possible], group)

    first = np.arange(len(frames))
    first[after] = before
    while (first != first[first]).any():  # each round doubles the length of the chains that are followed to their start
        first = first[first]
    return _tubes_of_groups(frames, boxes, labels, np.unique(first, return_inverse=True)[1])


def group_boxes(
    frames: Int64[np.ndarray, " N"],
    boxes: Float32[np.ndarray, "N 4"],
    labels: Int64[np.ndarray, " N"],
    identities: Int64[np.ndarray, " N"],
) -> tuple[Tube, ...]:
    """Collect the boxes of one video by actor and class: an actor with several classes becomes several tubes.

    Args:
        frames: 0-based frames of the video.
        boxes: xyxy half-open pixels of the video.
        labels: 0-based classes.
        identities: number of the actor.

    Returns:
        The tubes, numbered by identity and then by class.

    Raises:
        ShapeError: a box is not finite or has no area, a frame or a class is negative, or an actor has two boxes of one
            class on a frame.
    """
    order = np.lexsort((frames, labels, identities))
    frames, boxes, labels, identities = frames[order], boxes[order], labels[order], identities[order]
    changes = (np.diff(identities) != 0) | (np.diff(labels) != 0)
    twice = ~changes & (np.diff(frames) == 0)
    if twice.any():
        row = int(twice.argmax())
        raise ShapeError(
            f"actor {identities[row]} has two boxes of class {labels[row]} (counted from 0) on frame {frames[row]} "
            f"(counted from 0): {boxes[row].tolist()} and {boxes[row + 1].tolist()}; remove one"
        )
    return _tubes_of_groups(frames, boxes, labels, np.append(np.zeros(min(1, len(order)), np.int64), changes.cumsum()))


def _match(
    before: Int64[np.ndarray, " P"],
    after: Int64[np.ndarray, " P"],
    overlap: Float64[np.ndarray, " P"],
    group: Int64[np.ndarray, " N"],
) -> tuple[Int64[np.ndarray, " M"], Int64[np.ndarray, " M"]]:
    """Choose from pairs of boxes that overlap, so that no box is chosen twice.

    Args:
        before: row of the box on the earlier frame.
        after: row of the box on the next frame.
        overlap: of the two boxes, above 0.
        group: number of the frame and class of every row; only rows of equal group compete.
    """
    degree = np.maximum(np.bincount(before)[before], np.bincount(after)[after]) if len(before) else before
    chosen = degree == 1
    contested = np.flatnonzero(~chosen)
    for rows in np.split(contested, np.flatnonzero(np.diff(group[before[contested]])) + 1) if len(contested) else ():
        left, right = (np.unique(side[rows], return_inverse=True)[1] for side in (before, after))
        matrix = np.zeros((left.max() + 1, right.max() + 1))
        matrix[left, right] = overlap[rows]
        partner = np.full(len(matrix), -1)
        matched, partners = linear_sum_assignment(matrix, maximize=True)
        partner[matched] = partners
        chosen[rows] = partner[left] == right
    return before[chosen], after[chosen]


def _tubes_of_groups(
    frames: Int64[np.ndarray, " N"],
    boxes: Float32[np.ndarray, "N 4"],
    labels: Int64[np.ndarray, " N"],
    number: Int64[np.ndarray, " N"],
) -> tuple[Tube, ...]:
    """Return one tube for every `number` from 0 on; within one, the rows are sorted by frame."""
    order = np.argsort(number, kind="stable")
    parts = np.split(order, np.bincount(number).cumsum()[:-1]) if len(order) else []
    return tuple(Tube(int(labels[rows[0]]), frames[rows], boxes[rows], tube_id) for tube_id, rows in enumerate(parts))
