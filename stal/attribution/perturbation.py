"""Insertion and deletion: does the score fall and rise with the voxels that an attribution names?"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from stal.attribution.baselines import Baseline, without_content
from stal.attribution.roi_score import RoiScore, attributing, device_of
from stal.errors import ConfigError, ShapeError

_PARTS = (8, 12, 12)  # blocks along frames, rows and columns: single voxels would be noise that no clip has
_BATCH_SIZE = 8  # clips in one pass of the network


class PerturbationCurves(NamedTuple):
    """The class score of a tubelet, with ever more of the clip taken away or put in.

    Attributes:
        fractions: (S + 1,) share of the voxels that is taken away or put in, from 0 to 1.
        deletion: (S + 1,) scores in [0, 1], the most salient blocks taken away first.
        insertion: (S + 1,) scores in [0, 1], the most salient blocks put in first.
    """

    fractions: Float32[Tensor, " _"]
    deletion: Float32[Tensor, " _"]
    insertion: Float32[Tensor, " _"]

    @property
    def deletion_auc(self) -> float:
        """Area under the deletion curve, in [0, 1]: low if the voxels named first are those that the score needs."""
        return float(torch.trapezoid(self.deletion, self.fractions))

    @property
    def insertion_auc(self) -> float:
        """Area under the insertion curve, in [0, 1]: high if the voxels named first are enough for the score."""
        return float(torch.trapezoid(self.insertion, self.fractions))


def perturbation_curves(
    score: RoiScore,
    clip: Float[Tensor, "C T H W"],
    saliency: Float[Tensor, "T H W"],
    *,
    baseline: Baseline = "blur",
    num_steps: int = 16,
) -> PerturbationCurves:
    """Return the insertion and the deletion curve of an attribution (Petsiuk et al. 2018, arXiv 1806.07421).

    There, single pixels are taken away to grey and put into a blurred image; ours are blocks, in both directions from
    and to the same clip, so that the ends of one curve are those of the other. How high the curves are depends on how
    sure the network is: compare them with those of a random `saliency` of the same clip.

    Args:
        score: of the class and the tubelet.
        clip: a normalised clip.
        saliency: not negative.
        baseline: what stands where the clip is taken away, see `without_content`.
        num_steps: S, number of parts that the blocks are taken in.

    Raises:
        ConfigError: there is no such baseline, or no step.
        ShapeError: clip and saliency are of different sizes.
    """
    if num_steps < 1:
        raise ConfigError(f"num_steps = {num_steps} of an insertion curve must be at least 1")
    if clip.shape[1:] != saliency.shape:
        raise ShapeError(f"saliency {tuple(saliency.shape)} is not of a clip {tuple(clip.shape)}")
    clip = clip.detach().float().to(device_of(score))
    nothing = without_content(clip, baseline)
    rank = _block_ranks(saliency.detach().float().to(clip.device))
    ends = torch.linspace(0, int(rank.max()) + 1, num_steps + 1).round().to(clip.device)
    chosen = rank < ends[:, None, None, None]
    return PerturbationCurves(
        fractions=chosen.float().mean((1, 2, 3)).cpu(),
        deletion=_scores(score, chosen, nothing, clip),
        insertion=_scores(score, chosen, clip, nothing),
    )


def _block_ranks(saliency: Float[Tensor, "T H W"]) -> Int64[Tensor, "T H W"]:
    """Return for each voxel how many blocks are more salient, in the mean, than its own; ties in order of place."""
    along = [
        torch.arange(length, device=saliency.device).mul(min(parts, length)).div(length, rounding_mode="floor")
        for length, parts in zip(saliency.shape, _PARTS, strict=True)
    ]
    frames, rows, columns = along
    _, num_rows, num_columns = (int(axis[-1]) + 1 for axis in along)
    block = (frames[:, None, None] * num_rows + rows[:, None]) * num_columns + columns
    total = torch.bincount(block.flatten(), weights=saliency.flatten())
    order = (total / torch.bincount(block.flatten())).argsort(descending=True, stable=True)
    return order.argsort()[block]


@torch.no_grad()
def _scores(
    score: RoiScore,
    chosen: Bool[Tensor, "N T H W"],
    of_chosen: Float[Tensor, "C T H W"],
    of_others: Float[Tensor, "C T H W"],
) -> Float32[Tensor, " N"]:
    """Return the class score of each mixture of two clips."""
    with attributing(score):
        logits = [score(torch.where(some[:, None], of_chosen, of_others)) for some in chosen.split(_BATCH_SIZE)]
    return torch.cat(logits).sigmoid().cpu()
