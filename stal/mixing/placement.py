"""Move the actors of a clip in the frame and in time, with all that is known of them."""

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Shaped
from torch import Tensor

from stal.mixing.layers import Layer
from stal.ops.masks import box_masks


@dataclass(frozen=True)
class Placement:
    """Where the actors of a clip go.

    Attributes:
        scale: factor of their size. It leaves their foot where it is: the middle of the lower side of the box around
            all boxes of all of them, so that they move as one, and as smoothly as before.
        shift: pixels in x and y by which they are moved.
        offset: frames by which they are moved: what was on frame t is on frame t + offset.
    """

    scale: float = 1.0
    shift: tuple[int, int] = (0, 0)
    offset: int = 0

    def __call__(self, layer: Layer, min_visible: float) -> Layer:
        """Return a clip with its pixels and actors moved.

        Pixels are interpolated linearly, and copied if the scale is 1; masks take the nearest pixel. An actor has no
        box on a frame that comes from before or after the clip, rather than one that stands still, nor where too
        little of it is left in the frame. Around a clip its outermost pixels are repeated; they are no one's.

        Args:
            layer: with at least one actor.
            min_visible: smallest part of an actor's voxels that has to be in the frame for it to be labelled there.
        """
        num_frames, height, width = layer.voxel_sources.shape
        device = layer.voxel_sources.device
        foot = _foot(layer.boxes, layer.valid, width)
        # Of a pixel with its middle at x, x = scale * (x_before - foot) + foot + shift.
        stay = (1 - self.scale) * foot + foot.new_tensor(self.shift)
        columns, rows = (
            (torch.arange(size, device=device) + 0.5 - move) / self.scale
            for size, move in zip((width, height), stay, strict=True)
        )
        times = torch.arange(num_frames, device=device) - self.offset
        in_time = (times >= 0) & (times < num_frames)
        times = times.clamp(0, num_frames - 1)

        moved_boxes = (self.scale * layer.boxes + stay.repeat(2))[:, times]
        limits = foot.new_tensor([width, height, width, height])
        boxes = moved_boxes.clamp(min=0).minimum(limits)
        x, y = (
            self.scale * (torch.arange(size, device=device) + 0.5) + move
            for size, move in zip((width, height), stay, strict=True)
        )
        in_frame_later = _inside(y, height)[:, None] & _inside(x, width)
        num_voxels, num_visible = (
            volumes.sum(dim=(2, 3))[:, times] for volumes in (layer.volumes, layer.volumes & in_frame_later)
        )
        has_area = (boxes[..., :2] < boxes[..., 2:]).all(dim=-1)
        valid = layer.valid[:, times] & in_time & has_area & (num_visible >= min_visible * num_voxels)
        boxes, uncut_boxes = boxes * valid[..., None], moved_boxes * valid[..., None]

        def move_masks(masks: Bool[Tensor, "N T H W"]) -> Bool[Tensor, "N T H W"]:
            moved = _nearest(masks[:, times], columns, rows)
            in_frame = _inside(rows, height)[:, None] & _inside(columns, width)
            return moved & in_frame & valid[..., None, None]

        return dataclasses.replace(
            layer,
            frames=(_nearest if self.scale == 1 else _interpolate)(layer.frames[:, times], columns, rows),
            voxel_sources=_nearest(layer.voxel_sources[times], columns, rows),
            volumes=move_masks(layer.volumes) & box_masks(boxes, height, width),
            boxes=boxes,
            uncut_boxes=uncut_boxes,
            valid=valid,
            silhouettes=None if layer.silhouettes is None else move_masks(layer.silhouettes),
        )


def _foot(boxes: Float32[Tensor, "N T 4"], valid: Bool[Tensor, "N T"], width: int) -> Float32[Tensor, " 2"]:
    """Return x and y of the middle of the lower side of the box around all boxes."""
    x1 = torch.where(valid, boxes[..., 0], width).min()
    return torch.stack([(x1 + boxes[..., 2].max()) / 2, boxes[..., 3].max()])  # boxes that are not valid are zero


def _inside(positions: Float32[Tensor, " L"], size: int) -> Bool[Tensor, " L"]:
    """Return which positions are in an image of a size."""
    return (positions >= 0) & (positions < size)


def _nearest(
    values: Shaped[Tensor, "*N H W"], columns: Float32[Tensor, " W"], rows: Float32[Tensor, " H"]
) -> Shaped[Tensor, "*N H W"]:
    """Return the values of the pixels in which positions are; outside of the image, of those at its border."""
    column, row = (
        positions.floor().long().clamp(0, size - 1)
        for positions, size in ((columns, values.shape[-1]), (rows, values.shape[-2]))
    )
    return values.index_select(-2, row).index_select(-1, column)


def _interpolate(
    frames: Shaped[Tensor, "C T H W"], columns: Float32[Tensor, " W"], rows: Float32[Tensor, " H"]
) -> Shaped[Tensor, "C T H W"]:
    """Return the values at positions, between the middles of pixels linearly; whole numbers are rounded."""
    _, num_frames, height, width = frames.shape
    images = frames.transpose(0, 1)
    images = images if frames.is_floating_point() else images.float()
    x, y = torch.broadcast_tensors(2 * columns / width - 1, (2 * rows / height - 1)[:, None])
    grid = torch.stack([x, y], dim=-1).expand(num_frames, height, width, 2)
    moved = F.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False).transpose(0, 1)
    return moved if frames.is_floating_point() else moved.round_().to(frames.dtype)
