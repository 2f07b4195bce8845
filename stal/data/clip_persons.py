"""Persons of a file in place of the annotated actors: for training that may not look at annotated boxes."""

import dataclasses

import numpy as np
import torch
from jaxtyping import Float32
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from stal.data.proposals import ProposalFile
from stal.ops.boxes import pairwise_iou
from stal.structures import Clip

_NOBODY_KNOWS = -1  # the label of a person


def with_persons(clip: Clip, file: ProposalFile, *, min_iou: float = 0.3) -> Clip:
    """Return the clip with the persons of a file, who have no label; silhouettes are unknown then.

    The boxes on the keyframe are the persons. They are followed from there to both ends of the clip: on each frame the
    boxes are shared out so that the sum of their IoU with those where the persons were last seen is largest. Who has
    none on a frame is not there, and may come back.

    Args:
        clip: of a video that the file lists.
        file: detections of persons.
        min_iou: least IoU of two boxes of a person on frames that follow each other.

    Raises:
        AnnotationError: the file does not know the clip's video.
    """
    num_frames, keyframe = len(clip.frame_indices), len(clip.frame_indices) // 2
    found = [file.boxes_on(clip, frame) for frame in range(num_frames)]
    num_persons = len(found[keyframe])
    boxes = torch.zeros(num_persons, num_frames, 4)
    valid = torch.zeros(num_persons, num_frames, dtype=torch.bool)
    for frames in (range(keyframe, num_frames), range(keyframe - 1, -1, -1)):
        last = found[keyframe].clone()
        for frame in frames:
            persons, rows = _matches(last, found[frame], min_iou)
            last[persons] = boxes[persons, frame] = found[frame][rows]
            valid[persons, frame] = True
    return dataclasses.replace(
        clip, boxes=boxes, valid=valid, labels=torch.full((num_persons,), _NOBODY_KNOWS), actor_masks=None
    )


def _matches(
    last: Float32[Tensor, "P 4"], found: Float32[Tensor, "M 4"], min_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return which persons have a box on a frame, and which."""
    iou = pairwise_iou(last.numpy(), found.numpy())
    persons, rows = linear_sum_assignment(iou, maximize=True)
    near = iou[persons, rows] >= min_iou
    return persons[near], rows[near]
