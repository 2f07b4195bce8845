"""Let one clip fade into another, where mixers that copy would leave hard edges."""

import torch
from jaxtyping import Bool, Float, Float32, Shaped
from torch import Tensor

from stal.ops.masks import dilate_masks


def feather_masks(masks: Bool[Tensor, "*N H W"], distance: int) -> Float32[Tensor, "*N H W"]:
    """Return the opacity of masks whose edges fade out.

    It is the mean of a mask, its dilations by 1 to `distance` pixels, and its erosions by as many: a straight edge
    becomes a ramp of 2 * distance pixels, and the opacity is above one half on the mask, below it elsewhere. The border
    of the image is no edge.

    Args:
        masks: True where all is opaque.
        distance: pixels to either side of an edge over which it fades.
    """
    inside, outside = masks, ~masks
    levels = masks.to(torch.int16)
    for _ in range(distance):
        inside, outside = dilate_masks(inside, 1), dilate_masks(outside, 1)
        levels += inside.to(torch.int16) + ~outside
    return levels / (2 * distance + 1)


def blend(
    front: Shaped[Tensor, "C T H W"], back: Shaped[Tensor, "C T H W"], opacity: Float[Tensor, "#T #H #W"]
) -> Shaped[Tensor, "C T H W"]:
    """Return the front as far as it is opaque, and else the back; in clips of whole numbers values are rounded."""
    if front.is_floating_point():
        return torch.lerp(back, front, opacity.to(front.dtype))
    return torch.lerp(back.float(), front.float(), opacity.float()).round_().to(front.dtype)
