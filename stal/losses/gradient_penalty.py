"""Provenance-based input-gradient guidance: a class score may not depend on voxels that are not its actor's.

Nagano et al., "Learning from Synthetic Data via Provenance-Based Input Gradient Guidance", CVPR 2026, arXiv 2604.02946.
This module knows no model: it takes logits, the clips that they were computed from, and masks.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stal.errors import ConfigError, PenaltyError, ShapeError


class GradientEnergy(NamedTuple):
    """Energy of the input gradient of each target's logit, split at the border of the target's actor.

    Attributes:
        outside: (A,) over the voxels that are not the actor's; differentiable, this is the penalty.
        inside: (A,) over the actor's voxels; for the log.
    """

    outside: Float[Tensor, " A"]
    inside: Float[Tensor, " A"]


def gradient_energy(
    logits: Float[Tensor, " A"],
    clips: Float[Tensor, "B C T H W"],
    actor_masks: Bool[Tensor, "A T H W"],
    clip_index: Int64[Tensor, " A"],
) -> GradientEnergy:
    """Return the exact, twice differentiable energy of the logits' input gradients outside and inside their actors.

    For target a with logit f_a, actor mask M_a and clip x of V = T * H * W voxels,

        outside_a = V * || (1 - M_a) . df_a/dx ||^2,        inside_a = V * || M_a . df_a/dx ||^2.

    The factor V makes this the squared L2 norm of the functional derivative over a clip of unit volume: the same
    function of a clip sampled twice as finely has the same energy, so that a penalty's weight keeps its meaning over
    clip sizes. (The paper has no such factor: its weight is V times the one used here.)

    Targets of different clips share one backward pass, which is exact only if the network treats the clips of a batch
    independently (no batch statistics); targets of one clip get a pass each, since the gradient of a sum of two logits
    cannot be taken apart.

    Args:
        logits: one logit per target: that of the actor's own class.
        clips: the leaf tensor that the logits were computed from, in the units that the network sees.
        actor_masks: True where a voxel is the target actor's.
        clip_index: the clip that each target belongs to.

    Returns:
        Energies in float32, also under autocast; in float64 for float64 clips.

    Raises:
        ShapeError: the masks, logits and clips do not fit together.
        PenaltyError: the gradient would not be with respect to the input clip, or not reach the weights.
    """
    _check(logits, clips, actor_masks, clip_index)
    num_targets = len(logits)
    if num_targets == 0:
        zero = clips.new_zeros(0, dtype=torch.float32)
        return GradientEnergy(zero, zero)
    outside, inside = [], []
    passes = _passes(clip_index)
    with torch.autocast(clips.device.type, enabled=False):
        for targets in passes:
            (gradient,) = torch.autograd.grad(
                _at_least_float32(logits[targets]).sum(), clips, create_graph=True, allow_unused=True
            )
            if gradient is None:
                raise PenaltyError(
                    "the logits do not depend on `clips`: pass the very tensor that went through the network, before "
                    "any copy, detach or in-place change (pytorchvideo overwrites the list of pathways it is given)"
                )
            energy = _at_least_float32(gradient[clip_index[targets]]).square().sum(1)
            masks = actor_masks[targets]
            outside.append((energy * ~masks).sum((1, 2, 3)))
            inside.append((energy * masks).sum((1, 2, 3)).detach())
        order = torch.cat(passes).argsort()
        voxels = clips[0, 0].numel()
        energies = GradientEnergy(voxels * torch.cat(outside)[order], voxels * torch.cat(inside)[order])
    if not _reaches_weights(energies.outside, clips):
        raise PenaltyError(
            "the penalty does not reach the weights: it depends on nothing that is trained (are "
            "all weights frozen, or is an operation in the network not twice differentiable?)"
        )
    return energies


@dataclass(frozen=True)
class GradientPenalty:
    """The penalty of a batch: the mean over its targets of the energy outside their actors.

    Attributes:
        weight: factor of the energy. It keeps its meaning over clip sizes and batch sizes; the paper's alpha is it
            times the number of voxels, see `gradient_energy`.
        interval: take the penalty on every `interval`-th step only, times `interval`: the same on average, and cheaper
            (lazy regularization, Karras et al. 2020, arXiv 1912.04958, section 3.1).
    """

    weight: float
    interval: int = 1

    def __post_init__(self) -> None:
        if self.weight < 0 or self.interval < 1:
            raise ConfigError(f"{self}: the weight must not be negative, and the interval at least 1")

    def is_due(self, step: int) -> bool:
        """Return whether the penalty is taken on this step, counted from 0."""
        return step % self.interval == 0

    def __call__(
        self,
        logits: Float[Tensor, " A"],
        clips: Float[Tensor, "B C T H W"],
        actor_masks: Bool[Tensor, "A T H W"],
        clip_index: Int64[Tensor, " A"],
    ) -> dict[str, Tensor]:
        """Return `loss_pgg`, and for the log the mean energies outside and inside the actors.

        The arguments are those of `gradient_energy`. Without targets all are zero.
        """
        energy = gradient_energy(logits, clips, actor_masks, clip_index)
        outside, inside = (e.sum() / max(len(logits), 1) for e in energy)
        return {
            "loss_pgg": self.weight * self.interval * outside,
            "pgg_energy_outside": outside.detach(),
            "pgg_energy_inside": inside,
        }


def _at_least_float32(values: Tensor) -> Tensor:
    """Return `values` in float32, or as they are if they are of higher precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _reaches_weights(penalty: Tensor, clips: Tensor) -> bool:
    """Return whether a leaf other than `clips` would get a gradient of `penalty`."""
    nodes, seen = [penalty.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)  # only the nodes that accumulate a leaf's gradient have it
        if leaf is not None and leaf is not clips:
            return True
        nodes.extend(parent for parent, _ in node.next_functions)
    return False


def _passes(clip_index: Int64[Tensor, " A"]) -> list[Int64[Tensor, " _"]]:
    """Return the targets of each backward pass: first the first target of every clip, then the second, and so on."""
    same_clip = clip_index[:, None] == clip_index[None]
    rank = same_clip.tril(diagonal=-1).sum(1)
    return [(rank == r).nonzero().squeeze(1) for r in range(int(rank.max()) + 1)]


def _check(logits: Tensor, clips: Tensor, actor_masks: Tensor, clip_index: Tensor) -> None:
    """Raise unless the penalty of these arguments is what it claims to be."""
    if clips.ndim != 5:
        raise ShapeError(f"clips {tuple(clips.shape)} must be (B, C, T, H, W)")
    expected = (len(logits), *clips.shape[2:])
    if logits.ndim != 1 or tuple(actor_masks.shape) != expected or clip_index.shape != logits.shape:
        raise ShapeError(
            f"logits {tuple(logits.shape)}, actor_masks {tuple(actor_masks.shape)} and clip_index "
            f"{tuple(clip_index.shape)} must be (A,), (A, T, H, W) = {expected} and (A,) for clips {tuple(clips.shape)}"
        )
    if not torch.is_grad_enabled():
        raise PenaltyError("the penalty needs gradients, but they are switched off here (torch.no_grad)")
    if not clips.requires_grad or not clips.is_leaf:
        raise PenaltyError(
            "`clips` must be the input itself, a leaf that required a gradient before the forward pass; this tensor "
            + ("was computed from something else" if not clips.is_leaf else "does not require a gradient")
        )
