"""Perturbations outside the actors must not change their scores.

Heo, Piratla, Wicker, Weller, "Use Perturbations when Learning from Explanations", NeurIPS 2023, arXiv 2303.06419.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stal.errors import ConfigError
from stal.losses.penalty import Schedule
from stal.losses.scored_actors import ScoredActors, actor_losses

Perturbation = Literal["pgd", "noise"]


class PGDEx:
    """The classification loss of the actors in clips that are perturbed outside them (PGD-Ex and its noisy kin).

        weight * mean over actors of loss(scores of the actor in clip + change),    change = 0 on the actors' voxels

    With `kind="pgd"` the change is the one within `radius` of 0 (largest absolute value) that raises the loss most, as
    far as `num_steps` steps up the sign of its gradient find it, the first from the clip itself. With `kind="noise"` it
    is Gaussian noise. Either is a constant to the optimizer: nothing is differentiated twice.

    The published loss adds this term with weight 1 to that on the clean images, each the cross-entropy of exclusive
    classes, and moves by radius / num_steps a step, as here. Ours differs in that classes are independent (binary
    cross-entropy, summed over them), and in that an actor is perturbed with its clip: the change spares the voxels of
    every scored actor of the clip, so that one pass scores them all. (What an actor may learn from another actor of its
    clip is not touched by it.) Values are not cut to those of real pixels.

    Args:
        weight: factor of the loss.
        kind: `pgd`, an adversarial change, or `noise`.
        radius: largest change of a value of the normalised clip; with `noise` the standard deviation of its change.
        num_steps: gradient steps of `pgd`, each of which costs a forward and a backward pass.
        step_size: of `pgd`, in units of the normalised clip; None for radius / num_steps.
        interval: take the penalty on every `interval`-th step only, see `Schedule`.
        warmup_steps: steps over which the weight grows from 0.
        start_step: the first step with the penalty.
    """

    needs_input_gradient = False
    num_scenes = None

    def __init__(
        self,
        weight: float,
        *,
        kind: Perturbation = "pgd",
        radius: float = 0.3,
        num_steps: int = 3,
        step_size: float | None = None,
        interval: int = 1,
        warmup_steps: int = 0,
        start_step: int = 0,
    ) -> None:
        if kind not in ("pgd", "noise"):
            raise ConfigError(f"PGDEx: kind = {kind!r} is neither 'pgd' nor 'noise'")
        if not 0 < radius < float("inf") or num_steps < 1 or (step_size is not None and step_size <= 0):
            raise ConfigError(
                f"PGDEx: radius = {radius} and step_size = {step_size} must be positive, and num_steps = {num_steps} "
                "at least 1"
            )
        self.schedule = Schedule(weight, interval, warmup_steps, start_step)
        self.kind = kind
        self.radius = radius
        self.num_steps = num_steps
        self.step_size = radius / num_steps if step_size is None else step_size

    def __call__(self, actors: ScoredActors, *, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `loss_pgd_ex`, and for the log the loss in the perturbed clips; zero without actors."""
        if len(actors) == 0:
            loss = actors.logits.sum()
        else:
            outside = ~actors.clip_masks()[:, None]
            change = (
                self._noise(actors, outside, generator) if self.kind == "noise" else self._adversarial(actors, outside)
            )
            loss = actor_losses(actors.rescored(actors.clips.detach() + change), actors.targets).mean()
        return {"loss_pgd_ex": self.schedule.factor(step) * loss, "pgd_ex_perturbed_loss": loss.detach()}

    def _noise(
        self, actors: ScoredActors, outside: Bool[Tensor, "B 1 T H W"], generator: torch.Generator
    ) -> Float[Tensor, "B C T H W"]:
        """Return noise on the voxels that are no actor's."""
        clips = actors.clips
        # Drawn where the clips are: on a GPU the CPU would take longer over it than the step.
        seed = int(torch.randint(2**62, (), generator=generator))
        own = torch.Generator(clips.device).manual_seed(seed)
        return self.radius * torch.randn(clips.shape, generator=own, dtype=clips.dtype, device=clips.device) * outside

    def _adversarial(self, actors: ScoredActors, outside: Bool[Tensor, "B 1 T H W"]) -> Float[Tensor, "B C T H W"]:
        """Return the change of the voxels that are no actor's that raises the loss."""
        clips, targets = actors.clips.detach(), actors.targets.detach()
        change = torch.zeros_like(clips)
        # In half precision small gradients would be 0, and so have no sign.
        with torch.autocast(clips.device.type, enabled=False):
            for _ in range(self.num_steps):
                perturbed = (clips + change).requires_grad_()
                loss = actor_losses(actors.rescored(perturbed), targets).sum()
                (gradient,) = torch.autograd.grad(loss, perturbed)
                change = (change + self.step_size * gradient.sign() * outside).clamp(-self.radius, self.radius)
        return change
