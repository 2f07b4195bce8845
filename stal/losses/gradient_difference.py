"""The energy of input gradients, differentiable by weights without a double backward: an estimate, and how good."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stal.losses.gradient_energy import VOXELS, Blocks, check_shapes, energy_of
from stal.losses.input_gradients import check_reaches_weights, input_gradients

_TINY = 1e-30  # divides nothing by zero where a gradient vanishes


class EstimatedEnergy(NamedTuple):
    """Energies of each actor whose gradient with respect to the weights is an estimate.

    Attributes:
        outside: (A,) over the voxels that are not the actor's: the exact value.
        inside: (A,) over the actor's voxels; exact, and a constant.
        slope_error: (A,) how far the difference quotient is from the energy, which it should be, as a part of it. That
            of the gradient with respect to the weights can be smaller or larger.
    """

    outside: Float[Tensor, " A"]
    inside: Float[Tensor, " A"]
    slope_error: Float[Tensor, " A"]


def difference_energy(
    score: Callable[[Tensor], Tensor],
    scores: Float[Tensor, " A"],
    clips: Float[Tensor, "B C T H W"],
    actor_masks: Bool[Tensor, "A T H W"],
    clip_index: Int64[Tensor, " A"],
    *,
    blocks: Blocks = VOXELS,
    step: float = 0.01,
) -> EstimatedEnergy:
    """Return energies whose parameter gradient is that of a central difference.

    The energy outside is E = V || P g ||^2, with g = df/dx and a projection P (see `energy_of`). With the direction
    v = V P g held constant, dE/dw = 2 d(v . g)/dw, and v . g is the slope of f along v:

        v . g ~ (f(x + e v) - f(x - e v)) / (2 e).

    This needs first derivatives alone, by two more forward passes for every first, second, ... actor of a clip, and so
    is for networks without a double backward; it is not faster (`benchmarks/penalty.py`).

    The step is a compromise. On a smooth network the estimate converges to the exact gradient as the step shrinks. On
    one of rectifiers it does not: units that switch between the two ends each add a jump divided by the step, which the
    exact gradient does not have: below some step the parameter gradient gets worse while the slope's error falls. So
    the slope's error tells how good the slope is, and a small one does not prove the gradient.

    Args:
        score: gives the scores of the same actors in other clips, by the same function: with the same dropout.
        scores: those in `clips`.
        clips: the leaf tensor that they were computed from, in the units that the network sees.
        actor_masks: True where a voxel is the actor's.
        clip_index: the clip that each actor belongs to.
        blocks: as in `gradient_energy`.
        step: root mean square of the change e v over the values of the clip, in its units.

    Raises:
        ShapeError: the masks, scores and clips do not fit together.
        PenaltyError: the gradient would not be with respect to the input clip, or not reach the weights.
    """
    check_shapes(scores, clips, actor_masks, clip_index)
    rows: list[Tensor] = []
    parts: list[EstimatedEnergy] = []
    for actors, gradients in input_gradients(scores, clips, clip_index, create_graph=False):
        gradients.requires_grad_()
        energy = energy_of(gradients, actor_masks[actors], blocks)
        (twice_direction,) = torch.autograd.grad(energy.outside.sum(), gradients)
        value, inside = energy.outside.detach(), energy.inside.detach()
        slope = _slope(score, actors, clips, clip_index[actors], twice_direction / 2, step)
        slope_error = (slope.detach() - value).abs() / value.clamp(min=_TINY)
        rows.append(actors)
        parts.append(EstimatedEnergy(value + 2 * (slope - slope.detach()), inside, slope_error))
    if not rows:
        zero = clips.new_zeros(0, dtype=torch.promote_types(clips.dtype, torch.float32))
        return EstimatedEnergy(zero, zero, zero)
    order = torch.cat(rows).argsort()
    energies = EstimatedEnergy(*(torch.cat(part)[order] for part in zip(*parts, strict=True)))
    check_reaches_weights(energies.outside, clips)
    return energies


def _slope(
    score: Callable[[Tensor], Tensor],
    actors: Int64[Tensor, " S"],
    clips: Float[Tensor, "B C T H W"],
    clip_index: Int64[Tensor, " S"],
    direction: Float[Tensor, "S C T H W"],
    step: float,
) -> Float[Tensor, " S"]:
    """Return the slope of the scores of some actors, of different clips, along a direction for each."""
    length = step / direction.square().mean((1, 2, 3, 4)).sqrt().clamp(min=_TINY)
    change = torch.zeros_like(clips, requires_grad=False)
    change[clip_index] = (length.view(-1, 1, 1, 1, 1) * direction).to(clips.dtype)
    with torch.autocast(clips.device.type, enabled=False):
        ahead, behind = (score(clips.detach() + sign * change)[actors] for sign in (1, -1))
    return (ahead - behind) / (2 * length)
