"""What a still picture shows must not tell the action.

Fioresi, Dave, Shah, "ALBAR: Adversarial Learning approach to mitigate Biases in Action Recognition", ICLR 2025,
arXiv 2502.00156.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stal.errors import ConfigError
from stal.losses.penalty import Schedule
from stal.losses.scored_actors import ScoredActors, softmax_entropy

StillFrame = Literal["keyframe", "random"]
_TINY = 1e-12  # under the root, as in the published code, since it has no derivative at 0


class ALBAR:
    """Unlearn the actions of clips in which one frame is held.

        weight * (- CE + entropy_weight * sum_k p_k log p_k + gradient_weight * || d(sum_k f_k) / d(static clip) ||)

    with the logits f of an actor in the static clip, p their softmax, and CE = - log p_y of its class y, weighted as
    the mixer weighted the label. The first two terms are averaged over actors. The norm is that of a whole clip, of the
    mean over its actors, and averaged over the clips that have any; it is differentiated twice, in float32 whatever
    the rest of the step is computed in.

    Cross-entropy that is subtracted has no lower bound. The paper has no guard against that but the other two terms and
    its small learning rate, and neither have we: clip gradients, and look at `albar_static_loss` in the log.

    The published code has the same signs and weights, and holds the middle frame. Its norm is that of each column of
    pixels, averaged: for a clip W pixels wide about sqrt(W) times less than that of the clip, which the equation has
    and we take. Our detector's classes are independent; CE and p are still those of a softmax, as in the paper, so that
    an actor that stands still is made alike to all classes, and not likely for the wrong ones. The actors' boxes are
    those of the frame that is held.

    Args:
        weight: factor of the three terms; the paper's is 1.
        entropy_weight: of the negative entropy.
        gradient_weight: of the gradient's norm; at 0 no gradient is taken.
        frame: which frame is held, the `keyframe` or a `random` one of each clip.
        interval: take the penalty on every `interval`-th step only, see `Schedule`.
        warmup_steps: steps over which the weight grows from 0.
        start_step: the first step with the penalty.
    """

    needs_input_gradient = False  # it makes a leaf of its own
    num_scenes = None

    def __init__(
        self,
        weight: float,
        *,
        entropy_weight: float = 4.25,
        gradient_weight: float = 10.0,
        frame: StillFrame = "keyframe",
        interval: int = 1,
        warmup_steps: int = 0,
        start_step: int = 0,
    ) -> None:
        if frame not in ("keyframe", "random"):
            raise ConfigError(f"ALBAR: frame = {frame!r} is neither 'keyframe' nor 'random'")
        if min(entropy_weight, gradient_weight) < 0:
            raise ConfigError(
                f"ALBAR: entropy_weight = {entropy_weight} and gradient_weight = {gradient_weight} must not be negative"
            )
        self.schedule = Schedule(weight, interval, warmup_steps, start_step)
        self.entropy_weight = entropy_weight
        self.gradient_weight = gradient_weight
        self.frame = frame

    def __call__(self, actors: ScoredActors, *, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `loss_albar`, and for the log its three terms without their weights; zero without actors."""
        if len(actors) == 0:
            static_loss = entropy = gradient_norm = actors.logits.sum()
        else:
            clips = actors.clips.detach()
            num_clips, _, num_frames, *_ = clips.shape
            frames = torch.full((num_clips,), num_frames // 2)
            if self.frame == "random":
                frames = torch.randint(num_frames, (num_clips,), generator=generator)
            frames = frames.to(clips.device)
            rows = torch.arange(num_clips, device=clips.device)
            static = clips[rows, :, frames][:, :, None].repeat(1, 1, num_frames, 1, 1).requires_grad_()
            with torch.autocast(clips.device.type, enabled=False):
                logits = actors.rescored(static, frames)
                static_loss = -(actors.targets * logits.log_softmax(1)).sum(1).mean()
                entropy = softmax_entropy(logits).mean()
                gradient_norm = self._gradient_norm(actors, logits, static)
        loss = -static_loss - self.entropy_weight * entropy + self.gradient_weight * gradient_norm
        return {
            "loss_albar": self.schedule.factor(step) * loss,
            "albar_static_loss": static_loss.detach(),
            "albar_static_entropy": entropy.detach(),
            "albar_gradient_norm": gradient_norm.detach(),
        }

    def _gradient_norm(
        self, actors: ScoredActors, logits: Float[Tensor, "A K"], static: Float[Tensor, "B C T H W"]
    ) -> Float[Tensor, ""]:
        """Return the norm of the logits' gradient, averaged over the clips that have actors."""
        if self.gradient_weight == 0:
            return logits.new_zeros(())
        num_actors = torch.bincount(actors.clip_index, minlength=len(static))
        of_clips = logits.sum(1) / num_actors[actors.clip_index]
        (gradient,) = torch.autograd.grad(of_clips.sum(), static, create_graph=True)
        norms = (gradient.square().sum((1, 2, 3, 4)) + _TINY).sqrt()
        has_actors = num_actors > 0
        return (norms * has_actors).sum() / has_actors.sum()
