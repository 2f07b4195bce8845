"""From boxes to masks and back, on whatever device the tensors are."""

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor


def box_masks(boxes: Float[Tensor, "*N 4"], height: int, width: int) -> Bool[Tensor, "*N H W"]:
    """Rasterize boxes, rounding outwards: a pixel is inside if the box covers any part of it.

    Pixel i covers [i, i + 1), so that a horizontal flip of the boxes flips the masks exactly, and a box that has an
    area inside the image has a pixel.

    Args:
        boxes: xyxy half-open pixels of the image; what lies outside the image is ignored.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        True inside the box; nothing is inside a box without area, such as the zeros that stand for "no box".
    """
    x1, y1, x2, y2 = boxes.unsqueeze(-1).unbind(dim=-2)
    column = torch.arange(width, device=boxes.device)
    row = torch.arange(height, device=boxes.device)
    inside_x = (column + 1 > x1) & (column < x2) & (x1 < x2)
    inside_y = (row + 1 > y1) & (row < y2) & (y1 < y2)
    return inside_y.unsqueeze(-1) & inside_x.unsqueeze(-2)


def mask_boxes(masks: Bool[Tensor, "*N H W"]) -> tuple[Float32[Tensor, "*N 4"], Bool[Tensor, "*N"]]:
    """Return the tight half-open xyxy box of every mask, zero where the mask is empty, and where it is not."""
    x1, x2 = _span(masks.sum(dim=-2) > 0)  # on the CPU several times faster than any()
    y1, y2 = _span(masks.sum(dim=-1) > 0)
    return torch.stack([x1, y1, x2, y2], dim=-1).float(), x2 > 0


def _span(occupied: Bool[Tensor, "*N L"]) -> tuple[Tensor, Tensor]:
    """Return the first True and one past the last True along the last axis; 0 and 0 where there is none."""
    position = torch.arange(occupied.shape[-1], device=occupied.device)
    end = torch.where(occupied, position + 1, 0).amax(dim=-1)
    first = torch.where(occupied, position, occupied.shape[-1]).amin(dim=-1)
    return torch.minimum(first, end), end
