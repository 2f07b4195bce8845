"""Augment clips of joints, and bring persons to one place and size."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from stal.errors import ConfigError
from stal.structures import JOINTS, Clip


def _mirrored(name: str) -> str:
    side, _, joint = name.partition("_")
    return f"{ {'left': 'right', 'right': 'left'}[side] }_{joint}" if joint else name


_MIRROR = [JOINTS.index(_mirrored(name)) for name in JOINTS]
"""Of each joint the number of the one on the other side."""


@dataclass(frozen=True)
class KeypointAugment:
    """Mirror clips of `KeypointDataset`, and move their joints a little.

    Attributes:
        flip: probability that a clip is mirrored; left joints become right ones.
        jitter: standard deviation by which each joint of each frame is moved, as a part of its person's size; pose
            estimators are no better than some hundredths.
    """

    flip: float = 0.5
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1 or not 0 <= self.jitter < float("inf"):
            raise ConfigError(f"{self}: flip is a probability, and jitter must not be negative")

    def __call__(self, clip: Clip, generator: np.random.Generator) -> Clip:
        """Return the clip after chance."""
        if generator.random() < self.flip:
            clip = _flip(clip)
        if self.jitter:
            points = clip.frames.clone()
            noise = generator.normal(0, self.jitter, (2, *points.shape[1:])).astype(np.float32)
            points[:2] += torch.from_numpy(noise) * _sizes(points)[:, None]
            clip = dataclasses.replace(clip, frames=points)
        return clip


def normalize_persons(points: Float32[Tensor, "3 T N J"]) -> Float32[Tensor, "3 T N J"]:
    """Bring every person to the middle and to one size, on all frames alike, so that its way is kept.

    The middle is that of all its joints of the clip, the unit half of its size, which is the longer side of the largest
    box around its joints of a frame. Joints that are not there are zero.

    Args:
        points: x, y and score of joints; those of the score 0 are not there.
    """
    there = points[2] > 0
    low, high = _extremes(points, (1, 3))
    middle = torch.nan_to_num((low + high) / 2, posinf=0.0, neginf=0.0)
    moved = (points[:2] - middle) * 2 / _sizes(points)[:, None]
    return torch.cat([moved, points[2:]]) * there


def _sizes(points: Float32[Tensor, "3 T N J"]) -> Float32[Tensor, " N"]:
    """Return the longer side of the largest box around each person's joints of a frame, at least a pixel."""
    low, high = _extremes(points, (3,))
    return torch.nan_to_num(high - low, nan=0.0, neginf=0.0).amax((0, 1)).flatten().clamp(min=1.0)


def _extremes(points: Float32[Tensor, "3 T N J"], axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the smallest and largest x and y over some axes; infinite where no joint is there."""
    absent = points[2:] <= 0
    low = points[:2].masked_fill(absent, torch.inf).amin(axes, keepdim=True)
    return low, points[:2].masked_fill(absent, -torch.inf).amax(axes, keepdim=True)


def _flip(clip: Clip) -> Clip:
    """Mirror a clip from left to right, with its boxes; it stays in the pixels of its video, mirrored."""
    width = clip.video_size[1]
    points = clip.frames[..., _MIRROR].clone()
    points[0] = width - points[0]
    x1, y1, x2, y2 = clip.boxes.unbind(-1)
    boxes = torch.stack([width - x2, y1, width - x1, y2], dim=-1) * clip.valid[..., None]
    to_video = clip.to_video * torch.tensor([-1.0, 1.0, 1.0, 1.0]) + torch.tensor([0.0, 0.0, float(width), 0.0])
    return dataclasses.replace(clip, frames=points, boxes=boxes, to_video=to_video)
