"""How much energy the input gradient of an actor's score has outside its actor, exactly and twice differentiable.

This module knows no model: it takes scores, the clips that they were computed from, and masks.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from stal.errors import ShapeError
from stal.losses.input_gradients import check_reaches_weights, input_gradients

Blocks = tuple[int, int, int]
VOXELS: Blocks = (1, 1, 1)


class GradientEnergy(NamedTuple):
    """Energy of the input gradient of each actor's score, split at the border of the actor.

    Attributes:
        outside: (A,) over the voxels that are not the actor's.
        inside: (A,) over the actor's voxels.
    """

    outside: Float[Tensor, " A"]
    inside: Float[Tensor, " A"]


def gradient_energy(
    scores: Float[Tensor, " A"],
    clips: Float[Tensor, "B C T H W"],
    actor_masks: Bool[Tensor, "A T H W"],
    clip_index: Int64[Tensor, " A"],
    *,
    blocks: Blocks = VOXELS,
) -> GradientEnergy:
    """Return the exact energies of the scores' input gradients outside and inside their actors.

    For actor a with score f_a, mask M_a and clip x of V = T * H * W voxels,

        outside_a = V * || (1 - M_a) . df_a/dx ||^2,        inside_a = V * || M_a . df_a/dx ||^2.

    The factor V makes this the squared L2 norm of the functional derivative over a clip of unit volume: the same
    function of a clip sampled twice as finely has the same energy. (The paper has no such factor.)

    With `blocks` the masked gradient is averaged over blocks first, see `energy_of`.

    Args:
        scores: one of each actor, such as the logit of its own class.
        clips: the leaf tensor that the scores were computed from, in the units that the network sees.
        actor_masks: True where a voxel is the actor's.
        clip_index: the clip that each actor belongs to.
        blocks: frames, rows and columns of a block; one voxel by default.

    Returns:
        Energies in float32, also under autocast; in float64 for float64 clips.

    Raises:
        ShapeError: the masks, scores and clips do not fit together.
        PenaltyError: the gradient would not be with respect to the input clip, or not reach the weights.
    """
    check_shapes(scores, clips, actor_masks, clip_index)
    rows, outside, inside = [], [], []
    for actors, gradients in input_gradients(scores, clips, clip_index):
        energy = energy_of(gradients, actor_masks[actors], blocks)
        rows.append(actors)
        outside.append(energy.outside)
        inside.append(energy.inside)
    if not rows:
        zero = clips.new_zeros(0, dtype=torch.promote_types(clips.dtype, torch.float32))
        return GradientEnergy(zero, zero)
    order = torch.cat(rows).argsort()
    energies = GradientEnergy(torch.cat(outside)[order], torch.cat(inside)[order])
    check_reaches_weights(energies.outside, clips)
    return energies


def energy_of(
    gradients: Float[Tensor, "A C T H W"], actor_masks: Bool[Tensor, "A T H W"], blocks: Blocks = VOXELS
) -> GradientEnergy:
    """Return the energies of gradients outside and inside masks.

    With blocks the gradient is averaged over the voxels of each block that are on the same side of the mask, squared,
    and counted for each of them:

        outside = V * sum over blocks b of n_b * (mean of the gradient over b's voxels outside the mask)^2,

    n_b of them, and summed over channels. This is the energy of the gradient's orthogonal projection onto what is
    constant in every block. So it is at most the energy by voxels, and equal to it where the gradient is constant
    within blocks: the two have one scale. What is left out are changes that cancel within a block; what stays is the
    response to a block's mean, which a cue that is spread thinly over many voxels adds up to.

    Blocks that do not divide the clip are smaller at its ends.

    Args:
        gradients: of the actors' scores.
        actor_masks: True where a voxel is the actor's.
        blocks: frames, rows and columns of a block.
    """
    num_voxels = gradients[0, 0].numel() if len(gradients) else 0
    outside, inside = (num_voxels * _projected(gradients, side, blocks) for side in (~actor_masks, actor_masks))
    return GradientEnergy(outside, inside)


def check_shapes(scores: Tensor, clips: Tensor, actor_masks: Tensor, clip_index: Tensor) -> None:
    """Raise a ShapeError unless there is a score, a mask and a clip for each actor."""
    if clips.ndim != 5:
        raise ShapeError(f"clips {tuple(clips.shape)} must be (B, C, T, H, W)")
    expected = (len(scores), *clips.shape[2:])
    if scores.ndim != 1 or tuple(actor_masks.shape) != expected or clip_index.shape != scores.shape:
        raise ShapeError(
            f"scores {tuple(scores.shape)}, actor_masks {tuple(actor_masks.shape)} and clip_index "
            f"{tuple(clip_index.shape)} must be (A,), (A, T, H, W) = {expected} and (A,) for clips {tuple(clips.shape)}"
        )


def _projected(
    gradients: Float[Tensor, "A C T H W"], counted: Bool[Tensor, "A T H W"], blocks: Blocks
) -> Float[Tensor, " A"]:
    """Return the squared norm of the gradients on the voxels that count, averaged over blocks."""
    counted = counted[:, None].to(gradients.dtype)
    sums, counts = _block_sums(gradients * counted, blocks), _block_sums(counted, blocks)
    return (sums.square() / counts.clamp(min=1)).sum((1, 2, 3, 4))


def _block_sums(values: Float[Tensor, "A C T H W"], blocks: Blocks) -> Float[Tensor, "A C t h w"]:
    """Return the sum over every block, the last ones as if the clip went on with zeros."""
    for axis, size in enumerate(blocks, start=2):
        if size > 1:
            missing = -values.shape[axis] % size
            padding = [0, 0] * (values.ndim - 1 - axis) + [0, missing]
            values = F.pad(values, padding).unflatten(axis, (-1, size)).sum(axis + 1)
    return values
