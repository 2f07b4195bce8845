"""Boxes around the joints of persons, and which annotated tube shows whom."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int64

from stal.ops.boxes import paired_iou
from stal.structures import Keypoints, Tube
from stal.structures.keypoints import UNKNOWN_TUBE

_MIN_IOU = 0.3  # as boxes of one actor on consecutive frames have it; a box around joints is smaller than its actor


def joint_boxes(
    positions: Float32[np.ndarray, "*N J 2"], scores: Float32[np.ndarray, "*N J"], grow: float = 0.0
) -> tuple[Float32[np.ndarray, "*N 4"], Bool[np.ndarray, "*N"]]:
    """Return the tight box of the joints that are there, and where it has an area; elsewhere it is zero.

    Args:
        positions: of the joints of a person on a frame, in continuous pixels.
        scores: of the joints, 0 for one that is not there.
        grow: fraction of its width and height by which a box is made larger: a person ends outside of its joints.
    """
    there = (scores > 0)[..., None]
    low = np.where(there, positions, np.float32(np.inf)).min(axis=-2, initial=np.inf)
    high = np.where(there, positions, np.float32(-np.inf)).max(axis=-2, initial=-np.inf)
    valid = (high > low).all(axis=-1)
    low, high = (np.where(valid[..., None], corner, 0) for corner in (low, high))
    margin = grow / 2 * (high - low)
    return np.concatenate([low - margin, high + margin], axis=-1).astype(np.float32), valid


def tubes_of_persons(keypoints: Keypoints, tubes: Sequence[Tube]) -> Int64[np.ndarray, " N"]:
    """Return for each person of a video the number of the tube that it is annotated by, -1 for none.

    Where the tube's id is not known, it is the tube whose boxes overlap those around the person's joints most, on
    average over the frames that have both, if by 0.3 or more. Several persons may have one tube, since those who track
    persons lose them and find them again.

    Args:
        keypoints: of the video.
        tubes: of the video.
    """
    numbers = {tube.id: number for number, tube in enumerate(tubes)}
    boxes, seen = joint_boxes(keypoints.positions, keypoints.scores)
    return np.array(
        [
            _overlapping_tube(boxes[person], seen[person], tubes)
            if tube_id == UNKNOWN_TUBE
            else numbers.get(tube_id, -1)
            for person, tube_id in enumerate(keypoints.tube_ids.tolist())
        ],
        np.int64,
    )


def _overlapping_tube(boxes: Float32[np.ndarray, "T 4"], seen: Bool[np.ndarray, " T"], tubes: Sequence[Tube]) -> int:
    """Return the number of the tube that overlaps the boxes on the frames where they are seen most, -1 for none."""
    overlaps = []
    for tube in tubes:
        own, valid = tube.boxes_at(np.arange(len(boxes)))
        both = valid & seen
        overlaps.append(paired_iou(own[both], boxes[both]).mean() if both.any() else 0.0)
    best = int(np.argmax(overlaps)) if overlaps else -1
    return best if overlaps and overlaps[best] >= _MIN_IOU else -1
