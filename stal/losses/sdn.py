"""Features that do not tell the scene, and no guess at an action whose actor cannot be seen.

Choi, Gao, Messou, Huang, "Why Can't I Dance in the Mall? Learning to Mitigate Scene Bias in Action Recognition",
NeurIPS 2019, arXiv 1912.05534.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from stal.errors import ConfigError, PenaltyError
from stal.losses.penalty import Schedule
from stal.losses.scored_actors import ScoredActors, softmax_entropy


class SDN(nn.Module):
    """Scene debiasing: a scene classifier on the actors' features, whose gradient is reversed, and confusion.

        CE(scene of the clip, head(features))  -  weight * confusion_weight * H(softmax of the scores, actors masked)

    both averaged over actors. The head learns to tell the scene from the features that the class logits are made of;
    what it hands back to the features is its gradient times `-weight` (Ganin & Lempitsky 2015, arXiv 1409.7495), as in
    the published code, so that the detector unlearns the scene and the head still learns at full rate. (At weight 0 the
    head is a probe of what the features tell of the scene.) In the second term the voxels of all scored actors of a
    clip are filled with the mean colour of their frame, and the entropy H of the scores is raised; the detector's
    classes are independent, and H is that of a softmax over their logits, as in the paper.

    Ours differs in that the scene is annotated, in place of a classifier's soft guess of 365 places; actors of an
    unknown scene take no part in the first term; features and masks are those of actors, not of the whole clip; both
    terms share one step of the optimizer; and the head has one hidden layer (the paper's experiments: up to three).

    Args:
        weight: strength of the reversed gradient, and of the confusion; the paper's are 0.5 and 1.
        num_scenes: number of scenes of the annotation.
        in_channels: length of the features of an actor.
        confusion_weight: of the entropy, relative to `weight`; at 0 no masked clip is scored.
        interval: take the penalty on every `interval`-th step only, see `Schedule`; the head learns on these alone.
        warmup_steps: steps over which the weight grows from 0.
        start_step: the first step with the penalty.
    """

    needs_input_gradient = False

    def __init__(
        self,
        weight: float,
        *,
        num_scenes: int,
        in_channels: int,
        confusion_weight: float = 1.0,
        interval: int = 1,
        warmup_steps: int = 0,
        start_step: int = 0,
    ) -> None:
        super().__init__()
        if min(num_scenes, in_channels) < 1 or confusion_weight < 0:
            raise ConfigError(
                f"SDN: num_scenes = {num_scenes} and in_channels = {in_channels} must be at least 1, and "
                f"confusion_weight = {confusion_weight} not negative"
            )
        self.schedule = Schedule(weight, interval, warmup_steps, start_step)
        self.num_scenes = num_scenes
        self.in_channels = in_channels
        self.confusion_weight = confusion_weight
        self.head = nn.Sequential(nn.Linear(in_channels, in_channels), nn.ReLU(), nn.Linear(in_channels, num_scenes))

    def forward(self, actors: ScoredActors, *, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `loss_sdn_scene` and `loss_sdn_confusion`, and for the log how often the head tells the scene.

        Without actors all are zero.
        """
        if actors.features is None:
            raise PenaltyError("SDN needs the actors' features, and this detector does not say what they are")
        if actors.features.shape[1] != self.in_channels:
            raise ConfigError(
                f"SDN: in_channels = {self.in_channels}, but the features of an actor have {actors.features.shape[1]}"
            )
        factor = self.schedule.factor(step)
        scenes = actors.known_scenes(self.num_scenes)
        known = scenes >= 0
        num_known = known.sum().clamp(min=1)
        # On empty features too, or distributed training would wait for the head's gradients.
        scores = self.head(_reversed(actors.features, factor))
        losses = F.cross_entropy(scores, scenes, ignore_index=-1, reduction="none")
        return {
            "loss_sdn_scene": losses.sum() / num_known,
            "loss_sdn_confusion": -factor * self.confusion_weight * self._entropy(actors),
            "sdn_scene_accuracy": ((scores.argmax(1) == scenes) & known).sum() / num_known,
        }

    def _entropy(self, actors: ScoredActors) -> Float[Tensor, ""]:
        """Return the mean entropy of the actors' scores in clips in which no actor is seen."""
        if len(actors) == 0 or self.confusion_weight == 0:
            return actors.logits.new_zeros(())
        clips = actors.clips.detach()
        colours = clips.mean((3, 4), keepdim=True)
        masked = torch.where(actors.clip_masks()[:, None], colours, clips)
        return softmax_entropy(actors.rescored(masked)).mean()


def _reversed(features: Float[Tensor, "A F"], strength: float) -> Float[Tensor, "A F"]:
    """Return the very features; their gradient comes back times `-strength`."""
    constant = features.detach()
    return constant - strength * (features - constant)
