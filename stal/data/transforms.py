"""Move a clip's frames, boxes and silhouettes together, and keep track of the way back to video pixels."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32
from torch import Tensor

from stal.data import pixels
from stal.errors import ConfigError, ShapeError
from stal.structures import Clip

Transform = Callable[[Clip, np.random.Generator], Clip]


@dataclass(frozen=True)
class PendingClip:
    """A clip as it was decoded, which is transformed where its pixels are wanted.

    Attributes:
        clip: as it is in the video.
        transform: to be called with it.
        generator: source of the transform's random numbers; it is left as it is.
    """

    clip: Clip
    transform: Transform
    generator: np.random.Generator

    def pixels_to(self, device: torch.device | str) -> Clip:
        """Return the transformed clip, its frames and silhouettes on `device`."""
        return self.transform(self.clip.pixels_to(device), copy.deepcopy(self.generator))

    def pin_memory(self) -> PendingClip:
        """Return it with a pinned clip, as a DataLoader asks for it."""
        return dataclasses.replace(self, clip=self.clip.pin_memory())


def cut_boxes(
    boxes: Float32[Tensor, "*N 4"], valid: Bool[Tensor, "*N"], height: int, width: int
) -> tuple[Float32[Tensor, "*N 4"], Bool[Tensor, "*N"]]:
    """Cut boxes to an image of `height` x `width`; a box of which too little is left is zero and no longer valid.

    Too little is less than one pixel of width or of height: nobody could tell an actor by it. A side that was shorter
    than a pixel before the cut may stay so, as long as any of it is left.
    """
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    cut = torch.stack([x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], dim=-1)
    side, left = boxes[..., 2:] - boxes[..., :2], cut[..., 2:] - cut[..., :2]
    valid = valid & ((left >= 1) | ((side < 1) & (left > 0))).all(dim=-1)
    return cut * valid.unsqueeze(-1), valid


def to_video_boxes(
    boxes_clip: Float32[Tensor, "*N 4"], to_video: Float32[Tensor, " 4"], video_size: tuple[int, int]
) -> Float32[Tensor, "*N 4"]:
    """Bring boxes of a clip back to its video.

    Args:
        boxes_clip: xyxy half-open pixels of the clip.
        to_video: (scale_x, scale_y, shift_x, shift_y) of the clip; scale_x is negative if the clip is flipped.
        video_size: (height, width) of the video, to which the boxes are cut.

    Returns:
        The boxes, xyxy half-open pixels of the video.
    """
    scale, shift = to_video[:2].repeat(2), to_video[2:].repeat(2)
    corners = boxes_clip * scale + shift
    height, width = video_size
    x = corners[..., 0::2].sort(dim=-1).values.clamp(0, width)
    y = corners[..., 1::2].sort(dim=-1).values.clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def to_clip_boxes(boxes_video: Float32[Tensor, "*N 4"], to_video: Float32[Tensor, " 4"]) -> Float32[Tensor, "*N 4"]:
    """Bring boxes of a video to a clip of it; what `to_video_boxes` undoes. They are not cut to the clip.

    Args:
        boxes_video: xyxy half-open pixels of the video.
        to_video: (scale_x, scale_y, shift_x, shift_y) of the clip.
    """
    scale, shift = to_video[:2].repeat(2), to_video[2:].repeat(2)
    first, second = ((boxes_video - shift) / scale).split(2, dim=-1)  # which is which depends on the flip
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], dim=-1)


def resize_clip(clip: Clip, height: int, width: int) -> Clip:
    """Stretch a clip to `height` x `width`: frames bilinear (with a low-pass when shrinking), silhouettes nearest."""
    _, _, old_height, old_width = clip.frames.shape
    if (height, width) == (old_height, old_width):
        return clip
    actor_masks = None
    if clip.actor_masks is not None:
        actor_masks = clip.actor_masks[..., _nearest(old_height, height)[:, None], _nearest(old_width, width)]
    scale = torch.tensor([width / old_width, height / old_height])
    return dataclasses.replace(
        clip,
        frames=pixels.stretch(clip.frames, height, width),
        boxes=clip.boxes * scale.repeat(2),
        actor_masks=actor_masks,
        to_video=torch.cat([clip.to_video[:2] / scale, clip.to_video[2:]]),
    )


def crop_clip(clip: Clip, top: int, left: int, height: int, width: int) -> Clip:
    """Cut a window out of a clip; where the window reaches beyond the clip, it is black.

    Boxes are cut to the window. An actor with too little left on a frame (see `cut_boxes`) is not valid there, and one
    with no frame left is dropped.

    Args:
        clip: the clip.
        top: first row of the window in pixels of the clip; may be negative.
        left: first column of the window in pixels of the clip; may be negative.
        height: of the window, in pixels.
        width: of the window, in pixels.

    Returns:
        The window as a clip.

    Raises:
        ShapeError: the window has no pixel in common with the clip.
    """
    _, _, old_height, old_width = clip.frames.shape
    if not (-height < top < old_height and -width < left < old_width):
        raise ShapeError(
            f"clip of {clip.video_key}: a window of {height} x {width} at row {top}, column {left} has no pixel of "
            f"the {old_height} x {old_width} clip"
        )
    margins = (-left, left + width - old_width, -top, top + height - old_height)  # a negative margin cuts
    offset = torch.tensor([left, top], dtype=torch.float32)
    boxes, valid = cut_boxes(clip.boxes - offset.repeat(2), clip.valid, height, width)
    seen = valid.any(dim=1)
    return dataclasses.replace(
        clip,
        frames=pixels.cut(clip.frames, top, left, height, width),
        boxes=boxes[seen],
        valid=valid[seen],
        labels=clip.labels[seen],
        actor_masks=None if clip.actor_masks is None else F.pad(clip.actor_masks[seen], margins),
        to_video=torch.cat([clip.to_video[:2], clip.to_video[2:] + clip.to_video[:2] * offset]),
    )


def flip_clip(clip: Clip) -> Clip:
    """Mirror a clip left to right; its `to_video` then has the opposite sign of scale_x."""
    width = clip.frames.shape[-1]
    x1, y1, x2, y2 = clip.boxes.unbind(dim=-1)
    boxes = torch.stack([width - x2, y1, width - x1, y2], dim=-1) * clip.valid.unsqueeze(-1)
    scale_x, scale_y, shift_x, shift_y = clip.to_video
    return dataclasses.replace(
        clip,
        frames=pixels.mirror(clip.frames),
        boxes=boxes,
        actor_masks=None if clip.actor_masks is None else clip.actor_masks.flip(-1),
        to_video=torch.stack([-scale_x, scale_y, shift_x + scale_x * width, shift_y]),
    )


def jitter_colour(
    clip: Clip, generator: np.random.Generator, brightness: float, contrast: float, saturation: float
) -> Clip:
    """Change the colours of a clip, by one draw for all of its frames, so that nothing flickers.

    Each factor is drawn from [1 - strength, 1 + strength]: brightness scales the values, contrast their distance from
    the clip's mean grey, saturation their distance from the pixel's own grey (see `pixels.recolour`).

    Args:
        clip: uint8 RGB.
        generator: source of the three draws.
        brightness: strength, from 0 (unchanged) to 1.
        contrast: strength, from 0 to 1.
        saturation: strength, from 0 to 1.

    Returns:
        The clip with new uint8 frames.
    """
    strengths = np.array([brightness, contrast, saturation])
    return dataclasses.replace(
        clip, frames=pixels.recolour(clip.frames, *generator.uniform(1 - strengths, 1 + strengths))
    )


@dataclass(frozen=True)
class TestTransform:
    """Stretch every clip to one size; `to_video` undoes it.

    Attributes:
        size: (height, width) of the clips in pixels.
    """

    size: tuple[int, int]

    def __call__(self, clip: Clip, generator: np.random.Generator) -> Clip:
        """Return the stretched clip; nothing is drawn from `generator`."""
        return resize_clip(clip, *self.size)


@dataclass(frozen=True)
class WithoutActors:
    """Take the actors out of what is known of a clip, before anything else looks at it: for training without boxes.

    Attributes:
        transform: called with what is left.
    """

    transform: Transform

    def __call__(self, clip: Clip, generator: np.random.Generator) -> Clip:
        """Return the clip, transformed by `transform`."""
        unseen = dataclasses.replace(
            clip, boxes=clip.boxes[:0], valid=clip.valid[:0], labels=clip.labels[:0], actor_masks=None
        )
        return self.transform(unseen, generator)


@dataclass(frozen=True)
class TrainTransform:
    """Bring every clip to one size with random zoom, window, flip and colours.

    A clip is stretched as for testing, times a zoom. A larger one is cut, by a window that keeps all actors whole if
    there is one, else an actor drawn at random; a smaller one is put at a random place on black.

    Attributes:
        size: (height, width) of the clips in pixels.
        scale: smallest and largest zoom, 1 = as for testing.
        flip_probability: of mirroring left to right.
        brightness, contrast, saturation: strengths of `jitter_colour`.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.8, 1.25)
    flip_probability: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"scale {self.scale} of a TrainTransform: must be (smallest, largest), both positive")
        for name in ("flip_probability", "brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} {getattr(self, name)} of a TrainTransform: must be between 0 and 1")

    def __call__(self, clip: Clip, generator: np.random.Generator) -> Clip:
        """Return the transformed clip; everything random is drawn from `generator`."""
        height, width = self.size
        zoom = generator.uniform(*self.scale)
        clip = resize_clip(clip, max(1, round(height * zoom)), max(1, round(width * zoom)))
        top, left = _window_corner(clip, height, width, generator)
        clip = crop_clip(clip, top, left, height, width)
        if generator.random() < self.flip_probability:
            clip = flip_clip(clip)
        return jitter_colour(clip, generator, self.brightness, self.contrast, self.saturation)


def _nearest(old_length: int, length: int) -> Tensor:
    """Return, for each pixel of the new length, the old pixel under its centre."""
    return ((2 * torch.arange(length) + 1) * old_length).div(2 * length, rounding_mode="floor")


def _window_corner(clip: Clip, height: int, width: int, generator: np.random.Generator) -> tuple[int, int]:
    """Draw the (top, left) corner of a window, all of it inside the clip or all of the clip inside it."""
    _, _, old_height, old_width = clip.frames.shape
    extent = np.array([0.0, 0.0, old_width, old_height])
    if len(clip.labels):
        corner = clip.boxes.masked_fill(~clip.valid[..., None], np.inf).amin(dim=1)[:, :2]
        end = clip.boxes.amax(dim=1)[:, 2:]
        extents = torch.cat([corner, end], dim=1).double().numpy()  # of each actor over the whole clip
        extent = np.concatenate([extents[:, :2].min(axis=0), extents[:, 2:].max(axis=0)])
        drawn = generator.integers(len(extents))
        if extent[2] - extent[0] > width or extent[3] - extent[1] > height:
            extent = extents[drawn]
    left = _draw_offset(generator, old_width, width, extent[0], extent[2])
    top = _draw_offset(generator, old_height, height, extent[1], extent[3])
    return top, left


def _draw_offset(generator: np.random.Generator, length: int, window: int, first: float, end: float) -> int:
    """Draw where a window starts on one axis so that it holds [first, end), or lies within it if that is longer."""
    earliest, latest = sorted((0, length - window))
    low, high = np.sort([end - window, first]).clip(earliest, latest)
    return int(generator.integers(np.ceil(low), max(np.ceil(low), np.floor(high)) + 1))
