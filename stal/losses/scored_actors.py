"""What a penalty is told: how a detector scores the actors of a batch, and how to ask it again.

Where only the labels of clips are known, a row is not an actor but a pair (clip, label), see `PenaltyRows`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from stal.errors import PenaltyError


@dataclass(frozen=True)
class ScoredActors:
    """The A actors of a batch that the detector scored, those on the keyframe of their clip; or A labels of clips.

    Attributes:
        logits: (A, K) one independent logit a class.
        labels: (A,) their classes.
        clips: (B, C, T, H, W) what the logits were computed from; the leaf itself, if a penalty needs input gradients.
        clip_index: (A,) the clip of each actor.
        masks: (A, T, H, W) True on the voxels that the actor's scores may depend on.
        label_weights: (A,) targets of the actors' own classes; None for 1.
        clip_targets: (A, K) targets of all classes, of labels of clips: a clip has several. None for those of actors,
            which have one class.
        scenes: (A,) number of the scene that the actor's clip shows, -1 where unknown; None if unknown for all.
        features: (A, F) what the last linear layer makes the logits of; None if the detector does not say.
        share: part of the terms of the detector's classification loss that are the actors' own, in (0, 1].
        score: `score(clips)` gives the logits of the same actors, at the same boxes and with the same dropout, in other
            clips of the same shape; `score(clips, frames)` takes, on all frames, the boxes of the frame that `frames`
            (B,) names for each clip; `score(clips, rows=rows)` scores some actors alone, in as many clips as they are
            of. None if the detector cannot be asked; see `rescored` and `alone`.
    """

    logits: Float[Tensor, "A K"]
    labels: Int64[Tensor, " A"]
    clips: Float[Tensor, "B C T H W"]
    clip_index: Int64[Tensor, " A"]
    masks: Bool[Tensor, "A T H W"]
    label_weights: Float[Tensor, " A"] | None = None
    clip_targets: Float[Tensor, "A K"] | None = None
    scenes: Int64[Tensor, " A"] | None = None
    features: Float[Tensor, "A F"] | None = None
    share: float = 1.0
    score: Callable[..., Tensor] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def targets(self) -> Float[Tensor, "A K"]:
        """What the scores should be: the label weight for the actor's class, 0 for the others; or `clip_targets`."""
        if self.clip_targets is not None:
            return self.clip_targets
        targets = F.one_hot(self.labels, self.logits.shape[1]).to(self.logits.dtype)
        return targets if self.label_weights is None else targets * self.label_weights[:, None]

    def own_logits(self) -> Float[Tensor, " A"]:
        """Return the logits of the actors' own classes."""
        return self.logits.gather(1, self.labels[:, None]).squeeze(1)

    def rescored(
        self, clips: Float[Tensor, "B C T H W"], frames: Int64[Tensor, " B"] | None = None
    ) -> Float[Tensor, "A K"]:
        """Return the logits of the same actors in other clips.

        Args:
            clips: of the same shape.
            frames: for each clip the frame at whose boxes its actors are scored all the time, as they are where a frame
                is held; None for the boxes of every frame.

        Raises:
            PenaltyError: the detector cannot be asked.
        """
        if self.score is None:
            raise PenaltyError("the penalty scores the actors in changed clips: ScoredActors needs `score`")
        return self.score(clips) if frames is None else self.score(clips, frames)

    def alone(self, rows: Int64[Tensor, " S"]) -> "ScoredActors":
        """Return some actors, scored once more in a batch of their clips alone.

        The clips are a leaf that requires a gradient, and the logits of full precision: a penalty that needs both pays
        for these clips only.

        Args:
            rows: the actors.

        Raises:
            PenaltyError: the detector cannot be asked.
        """
        if self.score is None:
            raise PenaltyError("the penalty scores some actors alone: ScoredActors needs `score`")
        kept, clip_index = self.clip_index[rows].unique(return_inverse=True)
        clips = self.clips.detach()[kept].requires_grad_()
        score = partial(self.score, rows=rows)
        with torch.autocast(clips.device.type, enabled=False):
            logits = score(clips)
        return ScoredActors(
            logits=logits,
            labels=self.labels[rows],
            clips=clips,
            clip_index=clip_index,
            masks=self.masks[rows],
            label_weights=None if self.label_weights is None else self.label_weights[rows],
            clip_targets=None if self.clip_targets is None else self.clip_targets[rows],
            scenes=None if self.scenes is None else self.scenes[rows],
            features=None,
            share=self.share,
            score=score,
        )

    def known_scenes(self, num_scenes: int) -> Int64[Tensor, " A"]:
        """Return the number of every actor's scene, -1 where unknown.

        Raises:
            PenaltyError: the batch was made without scenes, or one has a number that is not below `num_scenes`.
        """
        if len(self) == 0:
            return self.labels
        if self.scenes is None:
            raise PenaltyError(
                "the penalty needs the scenes of clips, and this batch was made without: make it with "
                "ClipBatch.from_clips, or set its `scenes`"
            )
        highest = int(self.scenes.max())
        if highest >= num_scenes:
            raise PenaltyError(
                f"the penalty has num_scenes = {num_scenes}, but a clip of this batch shows scene {highest}, counted "
                "from 0: set num_scenes to the number of scenes of the annotation"
            )
        return self.scenes

    def clip_masks(self) -> Bool[Tensor, "B T H W"]:
        """Return for every clip where the voxels of any of its scored actors are."""
        num_actors = self.masks.new_zeros((len(self.clips), *self.masks.shape[1:]), dtype=torch.int16)
        return num_actors.index_add(0, self.clip_index, self.masks.to(torch.int16)) > 0


def actor_losses(logits: Float[Tensor, "A K"], targets: Float[Tensor, "A K"]) -> Float[Tensor, " A"]:
    """Return the binary cross-entropy of each actor, summed over classes."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)


def softmax_entropy(logits: Float[Tensor, "A K"]) -> Float[Tensor, " A"]:
    """Return the entropy in nats of the softmax of each actor's logits.

    The detector's classes are independent; the softmax says how they compare, as in losses that were made for exclusive
    classes. It is the same if all logits of an actor rise together.
    """
    log_probabilities = logits.log_softmax(1)
    return -(log_probabilities.exp() * log_probabilities).sum(1)
