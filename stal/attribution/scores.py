"""How much of an attribution is the actor's, and how alike two attributions are."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from scipy.stats import rankdata
from torch import Tensor

from stal.ops.masks import dilate_masks


class GradientTube(NamedTuple):
    """An attribution as it is looked at, and how much of it is inside the actor.

    Attributes:
        saliency: (T, H, W) absolute attribution, summed over colours, divided by its largest value.
        inside_share: share of the attribution's energy (its squares' sum) inside the actor.
        volume_share: share of the clip's voxels inside the actor: what `inside_share` is for an attribution that is
            spread evenly, and so its baseline.
    """

    saliency: Float32[Tensor, "T H W"]
    inside_share: float
    volume_share: float


def gradient_tube(gradient: Float[Tensor, "C T H W"], actor_mask: Bool[Tensor, "T H W"]) -> GradientTube:
    """Return the gradient tube of an attribution, such as an input gradient, and its share inside the actor.

    Args:
        gradient: the attribution.
        actor_mask: True where a voxel is the actor's.
    """
    tiny = torch.finfo(gradient.dtype).tiny
    gradient = gradient / gradient.abs().max().clamp(min=tiny)  # squares of small values would be zero
    saliency = gradient.abs().sum(0)
    energy = gradient.square().sum(0)
    total = energy.sum().clamp(min=tiny)
    return GradientTube(
        saliency=saliency / saliency.max().clamp(min=tiny),
        inside_share=float((energy * actor_mask).sum() / total),
        volume_share=float(actor_mask.float().mean()),
    )


def points_at_actor(
    saliency: Float[Tensor, "T H W"], actor_mask: Bool[Tensor, "T H W"], *, tolerance_pixels: int = 0
) -> bool:
    """Return whether the most salient voxel is the actor's: the pointing game, in space and time.

    Zhang et al. 2016 (arXiv 1608.00507) play it on images, with a tolerance of 15 pixels. Ours asks for the right frame
    too. Of several voxels that are the most salient the first one counts; where none is salient, none is pointed at.

    Args:
        saliency: not negative.
        actor_mask: True where a voxel is the actor's.
        tolerance_pixels: how far from the actor, in x and y, the voxel may be.
    """
    peak = saliency.argmax()
    near = dilate_masks(actor_mask, tolerance_pixels) if tolerance_pixels else actor_mask
    return bool((saliency.flatten()[peak] > 0) & near.flatten()[peak])


def rank_correlation(first: Float[Tensor, "T H W"], second: Float[Tensor, "T H W"]) -> float:
    """Return Spearman's rank correlation of two maps, from -1 to 1; 0 where one of them is the same everywhere."""
    ranks = [rankdata(values.detach().cpu().numpy().ravel()) for values in (first, second)]
    first_ranks, second_ranks = (rank - rank.mean() for rank in ranks)
    norm = np.sqrt((first_ranks**2).sum() * (second_ranks**2).sum())
    return float(first_ranks @ second_ranks / norm) if norm > 0 else 0.0
