"""Provenance-based input-gradient guidance: a class score may not depend on voxels that are not its actor's.

Nagano et al., "Learning from Synthetic Data via Provenance-Based Input Gradient Guidance", CVPR 2026, arXiv 2604.02946:

    L = L_detection + alpha * sum over actors a of || (1 - M_a) . df_a/dx ||^2

with the clip x, the logit f_a of the actor's own class, and the mask M_a of the voxels that the provenance says are the
actor's. Every part of this can be chosen:

    f_a       `target`                gradient_targets.py
    || . ||^2 `squared`, `blocks`     gradient_energy.py, which takes the gradients from input_gradients.py
    sum       `reduction`, `subset`   here, actor_subsets.py
    how       `estimator`             exact: gradient_energy.py; by differences: gradient_difference.py
    alpha     `weight`, `interval`, `warmup_steps`, `start_step`      penalty.py
    M_a       the model's `penalty_masks`
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from stal.errors import ConfigError
from stal.losses.actor_subsets import Subset, draw_actors
from stal.losses.gradient_difference import difference_energy
from stal.losses.gradient_energy import VOXELS, Blocks, GradientEnergy, gradient_energy
from stal.losses.gradient_targets import Target, target_scores
from stal.losses.penalty import Schedule
from stal.losses.scored_actors import ScoredActors

Reduction = Literal["mean", "sum"]
Squared = Literal["voxel", "time", "block", "ratio"]
Estimator = Literal["exact", "finite_difference"]
_LEAST_ENERGY = 1e-6  # added to the total that a ratio divides by: a gradient far below it counts as none


class GradientPenalty:
    """The energy of the actors' input gradients outside the actors; by default the mean over actors of the paper's.

    Published rivals are this penalty with another target or other masks: RRR (Ross et al. 2017) has
    `target="sum_log_probability"`; the full gradient penalty (Drucker & LeCun 1992) and the random masks of the paper's
    ablation come from the model's `penalty_masks`.

    A falling penalty alone is evidence of nothing: a net can go flat around every clip and still depend on the scene.

    Args:
        weight: factor of the energy.
        target: whose gradient: the actor's own `logit`, its `log_probability`, the `sum_log_probability` of all
            classes, or all logits with `random_signs`; see `target_scores`.
        squared: what is squared. `voxel`: the gradient at every voxel and channel, as in the paper. `time`: its mean
            over the frames at every pixel. `block`: its mean over `blocks`. Means are over the voxels outside the
            actor, on the scale of `voxel`, see `energy_of`. Most of the energy by voxels cancels over a few frames or
            pixels; a cue that is spread thinly over the scene is little of it, and most of that of means. `ratio`: the
            energy outside over that of the whole gradient, between 0 and 1 whatever the scale of the logits; it asks
            for the gradient to be inside, not to be small.
        blocks: frames, rows and columns of a block, for `block`, and for `ratio` if that shall be of block means.
        reduction: `mean`: the energy as of a clip of unit volume (times its number of voxels V, see `gradient_energy`),
            averaged over the actors of the batch, so that a weight keeps its meaning over sizes of clips and batches.
            `sum`: as the paper has it, without V and summed over the actors of a clip, averaged over clips.
        estimator: `exact`, by double backward, or by `finite_difference`, the error of whose slope is logged; see
            `difference_energy` for what it can and cannot do.
        difference_step: of the finite difference: root mean square of the change of a clip, in the network's units.
        subset: which actors take part in a step: `all`; `one_actor` a clip, drawn at random, which saves the passes of
            the others; or a share of the clips between 0 and 1, which are scored once more by themselves, so that only
            they cost a double backward, and the time and memory of full precision. Weighted so that the penalty is that
            of all on average.
        interval: take the penalty on every `interval`-th step only, see `Schedule`.
        warmup_steps: steps over which the weight grows from 0.
        start_step: the first step with the penalty.
    """

    num_scenes = None

    def __init__(
        self,
        weight: float,
        *,
        target: Target = "logit",
        squared: Squared = "voxel",
        blocks: Sequence[int] | None = None,
        reduction: Reduction = "mean",
        estimator: Estimator = "exact",
        difference_step: float = 0.01,
        subset: Subset = "all",
        interval: int = 1,
        warmup_steps: int = 0,
        start_step: int = 0,
    ) -> None:
        self.schedule = Schedule(weight, interval, warmup_steps, start_step)
        _check_choice("target", target, Target)
        _check_choice("squared", squared, Squared)
        _check_choice("reduction", reduction, Reduction)
        _check_choice("estimator", estimator, Estimator)
        _check_blocks(squared, blocks)
        if squared == "ratio" and (estimator, reduction) != ("exact", "mean"):
            raise ConfigError(
                f"GradientPenalty: squared = 'ratio' goes with estimator = 'exact' and reduction = 'mean', not with "
                f"{estimator!r} and {reduction!r}: a ratio has no scale, and no slope along its gradient"
            )
        if not 0 < difference_step < float("inf"):
            raise ConfigError(f"GradientPenalty: difference_step = {difference_step} must be positive")
        if subset not in ("all", "one_actor") and not (isinstance(subset, float) and 0 < subset < 1):
            raise ConfigError(
                f"GradientPenalty: subset = {subset!r} must be 'all', 'one_actor', or a share of the clips between 0 "
                "and 1"
            )
        self.target = target
        self.squared = squared
        self.blocks = blocks
        self.reduction = reduction
        self.estimator = estimator
        self.difference_step = difference_step
        self.subset = subset
        # A share of the clips gets a leaf of its own.
        self.needs_input_gradient = not isinstance(subset, float)

    def __call__(self, actors: ScoredActors, *, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `loss_pgg`, and for the log the energies outside and inside the actors, and the share of the latter.

        With finite differences also `pgg_slope_error`, the mean of the drawn actors' (see `EstimatedEnergy`): that of a
        slope, and no bound of the error of the parameter gradient.
        Without actors all are zero.
        """
        scale = 1 / max(len(actors), 1) if self.reduction == "mean" else 1 / actors.clips[:, 0].numel()
        rows, weights = draw_actors(actors.clip_index, self.subset, generator)
        if isinstance(self.subset, float) and len(rows):
            actors, rows = actors.alone(rows), torch.arange(len(rows), device=rows.device)
        energy, log = self._energy(actors, rows, generator)
        value = energy.outside
        if self.squared == "ratio":
            value = energy.outside / (energy.outside + energy.inside + _LEAST_ENERGY)
        outside, inside = (scale * (weights * e.detach()).sum() for e in energy)
        return {
            "loss_pgg": self.schedule.factor(step) * scale * (weights * value).sum(),
            "pgg_energy_outside": outside,
            "pgg_energy_inside": inside,
            "pgg_inside_share": inside / (outside + inside).clamp(min=torch.finfo(inside.dtype).tiny),
            **log,
        }

    def _energy(
        self, actors: ScoredActors, rows: Tensor, generator: torch.Generator
    ) -> tuple[GradientEnergy, dict[str, Float[Tensor, ""]]]:
        """Return the energies of some actors, and what else there is for the log."""
        target = target_scores(self.target, actors.labels, actors.logits.shape[1], generator)
        arguments = (target(actors.logits)[rows], actors.clips, actors.masks[rows], actors.clip_index[rows])
        blocks = self._blocks(num_frames=actors.clips.shape[2])
        if self.estimator == "exact":
            return gradient_energy(*arguments, blocks=blocks), {}
        outside, inside, slope_error = difference_energy(
            lambda clips: target(actors.rescored(clips))[rows], *arguments, blocks=blocks, step=self.difference_step
        )
        return GradientEnergy(outside, inside), {"pgg_slope_error": slope_error.sum() / max(len(rows), 1)}

    def _blocks(self, num_frames: int) -> Blocks:
        """Return the blocks that the gradient is averaged over."""
        if self.squared == "time":
            return (num_frames, 1, 1)
        if self.blocks is None:
            return VOXELS
        frames, height, width = self.blocks
        return (frames, height, width)


def _check_choice(name: str, value: str, choices: Any) -> None:
    """Raise a ConfigError unless `value` is among the choices."""
    if value not in get_args(choices):
        raise ConfigError(f"GradientPenalty: {name} = {value!r} is none of {', '.join(map(repr, get_args(choices)))}")


def _check_blocks(squared: Squared, blocks: Sequence[int] | None) -> None:
    """Raise a ConfigError unless there are blocks where they are needed, and only where they mean something."""
    if blocks is None:
        if squared == "block":
            raise ConfigError("GradientPenalty: squared = 'block' needs blocks = (frames, rows, columns)")
    elif squared not in ("block", "ratio"):
        raise ConfigError(f"GradientPenalty: blocks = {blocks} has no meaning with squared = {squared!r}: use 'block'")
    elif len(blocks) != 3 or min(blocks) < 1:
        raise ConfigError(
            f"GradientPenalty: blocks = {blocks} must be three sizes of at least 1: (frames, rows, columns)"
        )
