"""How a detector learns its classes: from the labels of actors, or from those of whole videos.

`learn_actors` and `learn_clips` take the same RoIs, and say the same things to a penalty.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from stal.losses.detection import classification_loss
from stal.mixing.penalty_rows import PenaltyRows, label_targets, rows_of_actors, rows_of_labels, sources_of_actors
from stal.models.backbone import Backbone, PathwayFeatures
from stal.models.clip_pool import ClipPool
from stal.structures import ClipBatch


@runtime_checkable
class RoiClassifier(Protocol):
    """Scores tubelets in clips, as `TubeDetector` does."""

    backbone: Backbone

    def draw_dropout(self, num_tubelets: int) -> Tensor:
        """Return (R, F) a draw of what features are multiplied by before they are made logits of."""
        ...

    def classify(
        self, features: PathwayFeatures, tubelets: Tensor, clip_index: Tensor | None, dropout: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (R, K) the class logits of tubelets, and (R, F) the features that they are a linear function of."""
        ...


class TrainRois(NamedTuple):
    """The RoIs of a batch that the classes are learnt on.

    Attributes:
        actors: (A,) the actors that are on the keyframe of their clip, by their numbers among all of the batch.
        actor_tubelets: (A, T, 4) where these are, xyxy pixels of the clip.
        actor_clip: (A,) the clip of each.
        sample_tubelets: (R, T, 4) what proposals became.
        sample_clip: (R,) the clip of each.
        sample_actors: (R,) the actor that each shows, among all of the batch; -1 for nobody.
    """

    actors: Int64[Tensor, " A"]
    actor_tubelets: Float[Tensor, "A T 4"]
    actor_clip: Int64[Tensor, " A"]
    sample_tubelets: Float[Tensor, "R T 4"]
    sample_clip: Int64[Tensor, " R"]
    sample_actors: Int64[Tensor, " R"]


@dataclass(frozen=True)
class ScoredRois:
    """RoIs of a batch as they were scored, which can be scored again in other clips.

    Attributes:
        detector: what scored them.
        tubelets: (R, T, 4) where they are, xyxy pixels of the clip.
        clip_index: (R,) the clip of each.
        dropout: (R, F) what their features were multiplied by.
    """

    detector: RoiClassifier
    tubelets: Float[Tensor, "R T 4"]
    clip_index: Int64[Tensor, " R"]
    dropout: Float[Tensor, "R F"]

    def classify(
        self, clips: Tensor, frames: Tensor | None = None, rois: Tensor | None = None
    ) -> tuple[Float[Tensor, "R K"], Float[Tensor, "R F"]]:
        """Return class logits and features of the same RoIs in other clips.

        Args:
            clips: as many as the RoIs are of.
            frames: for each clip the frame whose boxes are taken on all frames; None for the boxes of every frame.
            rois: which ones; None for all, in as many clips as the batch has.
        """
        tubelets, clip_index, dropout = self.tubelets, self.clip_index, self.dropout
        if rois is not None:
            tubelets, dropout = tubelets[rois], dropout[rois]
            clip_index = clip_index[rois].unique(return_inverse=True)[1]
        if frames is not None:
            each = torch.arange(len(tubelets), device=tubelets.device)
            tubelets = tubelets[each, frames[clip_index]][:, None].expand_as(tubelets)
        return self.detector.classify(self.detector.backbone(clips), tubelets, clip_index, dropout)

    def logits(self, clips: Tensor, frames: Tensor | None = None, rows: Tensor | None = None) -> Float[Tensor, "A K"]:
        """Return the logits of rows that are RoIs, see `ScoredActors.score`."""
        return self.classify(clips, frames, rows)[0]

    def pooled_logits(self, pool: ClipPool, row_clip: Int64[Tensor, " A"]) -> Callable[..., Float[Tensor, "A K"]]:
        """Return what gives the logits of rows that are labels of clips, see `ScoredActors.score`.

        Args:
            pool: makes logits of clips of those of RoIs.
            row_clip: the clip of each row.
        """

        def score(clips: Tensor, frames: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
            of_rows = row_clip if rows is None else row_clip[rows]
            rois = None if rows is None else torch.isin(self.clip_index, of_rows).nonzero().squeeze(1)
            clip_index = self.clip_index if rois is None else self.clip_index[rois]
            present, group = clip_index.unique(return_inverse=True)
            pooled = pool(*self.classify(clips, frames, rois), group)
            return pooled[torch.searchsorted(present, of_rows)]

        return score


@dataclass(frozen=True)
class TrainOutput:
    """Losses of a batch, and what a penalty is told of its A rows, see `ScoredActors`.

    Attributes:
        losses: name -> scalar.
        logits: (A, K) of each row: an actor, or a label of a clip.
        rows: the rows.
        rois: the RoIs that the logits were made of; None of clips as a whole.
        score: gives the logits of the same rows in other clips.
        share: part of the terms of the classification loss that are these rows'.
        features: (A, F) that the logits are a linear function of; None if they are not.
        label_weights: (A,) targets of the rows' own classes; None for 1.
        clip_targets: (A, K) targets of all classes; None for those of actors.
    """

    losses: dict[str, Tensor]
    logits: Float[Tensor, "A K"]
    rows: PenaltyRows
    rois: ScoredRois | None
    score: Callable[..., Tensor]
    share: float
    features: Float[Tensor, "A F"] | None = None
    label_weights: Float[Tensor, " A"] | None = None
    clip_targets: Float[Tensor, "A K"] | None = None


def learn_actors(detector: RoiClassifier, features: PathwayFeatures, batch: ClipBatch, rois: TrainRois) -> TrainOutput:
    """Learn from actors whose labels are known: every RoI that shows one has its class, all others have none.

    Args:
        detector: scores the RoIs.
        features: of the clips.
        batch: with labels of its actors.
        rois: what is scored.

    Returns:
        The loss of the classes alone; a row for each actor on a keyframe.
    """
    # The actors' logits have a graph of their own, so that a penalty on them does not walk through the samples'.
    scored = ScoredRois(detector, rois.actor_tubelets, rois.actor_clip, detector.draw_dropout(len(rois.actors)))
    actor_logits, actor_features = detector.classify(features, scored.tubelets, scored.clip_index, scored.dropout)
    sample_logits, _ = detector.classify(features, rois.sample_tubelets, rois.sample_clip)
    shows_actor = rois.sample_actors >= 0
    labels = torch.cat(list(batch.labels))
    sample_labels = torch.full_like(rois.sample_actors, -1)
    sample_labels[shows_actor] = labels[rois.sample_actors[shows_actor]]
    actor_weights = all_weights = None
    if batch.label_weights is not None:
        weights = torch.cat(list(batch.label_weights))
        actor_weights = weights[rois.actors]
        sample_weights = torch.ones_like(rois.sample_actors, dtype=weights.dtype)
        sample_weights[shows_actor] = weights[rois.sample_actors[shows_actor]]
        all_weights = torch.cat([actor_weights, sample_weights])
    loss = classification_loss(
        torch.cat([actor_logits, sample_logits]), torch.cat([labels[rois.actors], sample_labels]), all_weights
    )
    return TrainOutput(
        {"loss_class": loss},
        actor_logits,
        rows_of_actors(batch, rois.actors),
        scored,
        scored.logits,
        share=len(rois.actors) / max(len(rois.actors) + len(rois.sample_actors), 1),
        features=actor_features,
        label_weights=actor_weights,
    )


def learn_clips(
    detector: RoiClassifier, features: PathwayFeatures, batch: ClipBatch, rois: TrainRois, pool: ClipPool
) -> TrainOutput:
    """Learn from the labels of videos alone, whoever of a clip does what; the labels of actors are not looked at.

    The logits of a clip are pooled over the RoIs that show one of its persons, and learn the labels of all videos that
    these persons come from. RoIs that show nobody learn to be no class. The loss is the mean over the clips that show a
    person of the first, plus the mean over these RoIs of the second: binary cross-entropies, summed over classes.

    Args:
        detector: scores the RoIs.
        features: of the clips.
        batch: with labels of its videos.
        rois: what is scored.
        pool: makes logits of clips of those of RoIs.

    Returns:
        The loss of the classes alone; a row for each label of each clip.
    """
    is_person = rois.sample_actors >= 0
    tubelets = torch.cat([rois.actor_tubelets, rois.sample_tubelets[is_person]])
    clip_index = torch.cat([rois.actor_clip, rois.sample_clip[is_person]])
    scored = ScoredRois(detector, tubelets, clip_index, detector.draw_dropout(len(tubelets)))
    logits, roi_features = detector.classify(features, tubelets, clip_index, scored.dropout)
    nobody, _ = detector.classify(features, rois.sample_tubelets[~is_person], rois.sample_clip[~is_person])
    seen, num_classes = sources_of_actors(batch, rois.actors), logits.shape[1]
    targets, rows = label_targets(batch, seen, num_classes), rows_of_labels(batch, seen, num_classes)
    clips, group = clip_index.unique(return_inverse=True)
    pooled = pool(logits, roi_features, group)
    clip_loss = F.binary_cross_entropy_with_logits(pooled, targets[clips], reduction="sum") / max(len(clips), 1)
    nobodys_class = torch.full((len(nobody),), -1, device=nobody.device)
    return TrainOutput(
        {"loss_class": clip_loss + classification_loss(nobody, nobodys_class)},
        pooled[torch.searchsorted(clips, rows.clip_index)],
        rows,
        scored,
        scored.pooled_logits(pool, rows.clip_index),
        share=1.0,
        clip_targets=targets[rows.clip_index],
    )
