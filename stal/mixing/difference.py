"""Which voxels did an editing mixer change? Otsu's threshold of the difference image says it."""

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from stal.errors import ShapeError

NUM_LEVELS = 256
"""Levels of a difference image, as in an image of bytes."""


def changed_voxels(
    original: Shaped[Tensor, "B C T H W"], edited: Shaped[Tensor, "B C T H W"]
) -> Bool[Tensor, "B T H W"]:
    """Return where clips differ from what they were by more than Otsu's threshold, a threshold for each clip.

    The difference image is the absolute difference, averaged over the channels, in 256 levels from 0 to the largest of
    the clip. Nagano et al. (arXiv 2604.02946) name Otsu's threshold of the difference, and leave its details open:
    these are ours. What was changed by little counts as unchanged.

    Args:
        original: clips before they were edited, of bytes or normalised.
        edited: the same clips after it, in the same units.

    Raises:
        ShapeError: the shapes differ, or nothing was changed in a clip: then no threshold tells the edit from noise.
    """
    if original.shape != edited.shape:
        raise ShapeError(
            f"original clips {tuple(original.shape)} and edited clips {tuple(edited.shape)} differ in shape"
        )
    difference = (original.detach().float() - edited.detach().float()).abs().mean(dim=1)
    largest = difference.amax(dim=(1, 2, 3))
    identical = (largest == 0).nonzero().flatten().tolist()
    if identical:
        raise ShapeError(
            f"pair {identical[0]} of {len(original)}: the edited clip equals its original, so that nothing tells which "
            "voxels were edited; hand over the clip as it was before the edit, or leave clips out that were not edited"
        )
    levels = (difference / largest.view(-1, 1, 1, 1) * (NUM_LEVELS - 1)).round().long()
    first_bin = NUM_LEVELS * torch.arange(len(levels), device=levels.device).view(-1, 1, 1, 1)
    counts = torch.bincount((levels + first_bin).flatten(), minlength=NUM_LEVELS * len(levels))
    return levels > otsu_threshold(counts.view(-1, NUM_LEVELS)).view(-1, 1, 1, 1)


def otsu_threshold(histograms: Int64[Tensor, "B L"]) -> Int64[Tensor, " B"]:
    """Return for each histogram the level that splits it best: up to it one class, above it the other.

    Otsu, "A threshold selection method from gray-level histograms", 1979: the split of the largest variance between
    the classes, the first of equals. A histogram with a single level that is not empty has no split, and gives 0.

    Args:
        histograms: number of voxels of each level.
    """
    level = torch.arange(histograms.shape[1], device=histograms.device)
    below, sum_below = histograms.cumsum(dim=1), (histograms * level).cumsum(dim=1)  # exact: equals stay equal
    above, sum_above = below[:, -1:] - below, sum_below[:, -1:] - sum_below
    distance = sum_below / below.clamp(min=1).double() - sum_above / above.clamp(min=1).double()
    return (below.double() * above * distance.square()).argmax(dim=1)
