"""What `KeypointPooling` learns of a batch of joints: from labels of persons, or from those of videos alone."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from stal.errors import ShapeError
from stal.losses.detection import classification_loss
from stal.mixing.penalty_rows import label_targets, rows_of_actors, rows_of_labels, sources_of_actors
from stal.models.class_training import TrainOutput
from stal.models.keypoint_pooling import KeypointPooling, PersonFeatures
from stal.structures import ClipBatch


@dataclass(frozen=True)
class _ScoredClips:
    """Clips of joints as they were scored, which can be scored again with other values.

    Attributes:
        network: what scored them.
        there: (B, T, P, J) which joints are there.
    """

    network: KeypointPooling
    there: Bool[Tensor, "B T P J"]

    def persons(
        self, clips: Float[Tensor, "b 3 T P J"], frames: Tensor | None, kept: Int64[Tensor, " b"] | None
    ) -> PersonFeatures:
        """Return the features of the persons of clips.

        Args:
            clips: of the same persons.
            frames: for each clip the frame whose joints are there on all frames; None for those of every frame.
            kept: which clips these are; None for all.
        """
        there = self.there if kept is None else self.there[kept]
        if frames is not None:
            there = there[torch.arange(len(there), device=there.device), frames][:, None].expand_as(there)
        return self.network(clips, there)


def learn_clips(network: KeypointPooling, batch: ClipBatch) -> TrainOutput:
    """Learn from the labels of videos alone, whoever of a clip does what; the labels of persons are not looked at.

    The features of a clip are pooled over its persons, and learn the labels of all videos that these come from. The
    loss is the binary cross-entropy, summed over classes and averaged over the clips that show a person.

    Args:
        network: scores the clips.
        batch: with provenance, and labels of its videos.

    Returns:
        The loss, and a row for each label of each clip.
    """
    scored = _ScoredClips(network, _joints_there(batch))
    persons = scored.persons(batch.clips, None, None)
    features = network.pool(persons)
    logits = network.classify(features)
    seen = sources_of_actors(batch, _places_of_persons(batch, persons)[0])
    targets, of_labels = label_targets(batch, seen, logits.shape[1]), rows_of_labels(batch, seen, logits.shape[1])
    shows_person = persons.there.any(1)
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
    loss = (entropy * shows_person).sum() / shows_person.sum().clamp(min=1)

    def score(clips: Tensor, frames: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        kept, clip_of_row = None, of_labels.clip_index
        if rows is not None:
            kept, clip_of_row = clip_of_row[rows].unique(return_inverse=True)
        return network.classify(network.pool(scored.persons(clips, frames, kept)))[clip_of_row]

    return TrainOutput(
        {"loss_class": loss},
        logits[of_labels.clip_index],
        of_labels,
        None,
        score,
        share=1.0,
        features=features[of_labels.clip_index],
        clip_targets=targets[of_labels.clip_index],
    )


def learn_persons(network: KeypointPooling, batch: ClipBatch) -> TrainOutput:
    """Learn from persons whose labels are known; those who have none on the keyframe learn to be no class.

    Args:
        network: scores the persons.
        batch: with provenance, and labels of its actors, -1 for none.

    Returns:
        The loss, and a row for each person with a label.
    """
    scored = _ScoredClips(network, _joints_there(batch))
    persons = scored.persons(batch.clips, None, None)
    shown, clip_index, places = _places_of_persons(batch, persons)
    features = persons.values[clip_index, places]
    logits = network.classify(features)
    labels = torch.cat(list(batch.labels))[shown]
    labelled = labels >= 0
    row_clip, row_place = clip_index[labelled], places[labelled]

    def score(clips: Tensor, frames: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        kept, clip_of_row, place_of_row = None, row_clip, row_place
        if rows is not None:
            kept, clip_of_row = row_clip[rows].unique(return_inverse=True)
            place_of_row = row_place[rows]
        return network.classify(scored.persons(clips, frames, kept).values[clip_of_row, place_of_row])

    return TrainOutput(
        {"loss_class": classification_loss(logits, labels)},
        logits[labelled],
        rows_of_actors(batch, shown[labelled]),
        None,
        score,
        share=float(labelled.sum()) / max(len(labelled), 1),
        features=features[labelled],
    )


def _joints_there(batch: ClipBatch) -> Bool[Tensor, "B T P J"]:
    """Return which joints are there, as the provenance says."""
    if batch.provenance is None:
        raise ShapeError("clip batch has no provenance, which says what joints are there: KeypointPreprocessor adds it")
    return batch.provenance > 0


def _places_of_persons(
    batch: ClipBatch, persons: PersonFeatures
) -> tuple[Int64[Tensor, " N"], Int64[Tensor, " N"], Int64[Tensor, " N"]]:
    """Return the persons of whom there are joints: numbers among all actors of the batch, clips, and places there."""
    num_actors = torch.tensor([len(labels) for labels in batch.labels], device=persons.there.device)
    clip_index, places = persons.there.nonzero().unbind(1)
    return (num_actors.cumsum(0) - num_actors)[clip_index] + places, clip_index, places
