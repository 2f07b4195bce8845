"""What a penalty has a term for: the scores of actors, or the labels of clips, and what of the batch each is about.

A *row* of a penalty is a score of one clip (a row of `ScoredActors`), and what it is about: some of the actors that the
clip shows, and some of the clips of the batch that it was mixed from. Every `MaskSource` makes a mask of that, and need
not know what the score is one of:

- where it is known who does what, a row is an actor, and the clip that it was taken from (`rows_of_actors`);
- where only the labels of whole videos are known, a row is a pair (clip, label): all actors of the clip that come from
  videos with that label, and these videos, with people who do something else and background (`rows_of_labels`).

The second is the paper's own setting. It mixes two samples A and B with a mask M_A = 1 - M_B, and penalises

    || (1 - M_A) . grad f_A + M_A . grad f_B ||^2 = || (1 - M_A) . grad f_A ||^2 + || (1 - M_B) . grad f_B ||^2,

as the cross term vanishes for a binary mask: a row each, with `SourceClipMasks`. With more sources, or labels that they
share, there is still a row for every label, whose mask is all sources that have it, and the squared norms are added up.
(The norm of the sum would not do: two labels could cancel each other on the voxels of a third.)

A model of clips uses it as follows:

    seen = sources_of_voxels(batch)                       # or sources_of_actors, where actors are known
    targets = label_targets(batch, seen, num_classes)     # (B, K), what the clips' logits are trained towards
    rows = rows_of_labels(batch, seen, num_classes)
    ScoredActors(
        logits=logits[rows.clip_index],                   # (B, K) of the clips: all rows of a clip have the same
        labels=rows.labels,
        clips=batch.clips,
        clip_index=rows.clip_index,
        masks=SourceClipMasks()(batch, rows, generator),  # or the model's `penalty_masks`
        clip_targets=targets[rows.clip_index],
        score=score,
    )
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from stal.errors import ShapeError
from stal.structures import ClipBatch


@dataclass(frozen=True)
class PenaltyRows:
    """The R rows of a penalty in a batch of B clips that show N actors altogether.

    Attributes:
        clip_index: (R,) the clip of each.
        labels: (R,) the class that each is of.
        actors: (R, N) True for the actors of the clip that the row is about, those of clip 0 first.
        sources: (R, B) True for the clips that what the row is about was taken from.
    """

    clip_index: Int64[Tensor, " R"]
    labels: Int64[Tensor, " R"]
    actors: Bool[Tensor, "R N"]
    sources: Bool[Tensor, "R B"]

    def __len__(self) -> int:
        return len(self.labels)


def rows_of_actors(batch: ClipBatch, actors: Int64[Tensor, " A"]) -> PenaltyRows:
    """Return a row for each of some actors.

    Args:
        batch: mixed or not.
        actors: their numbers among all actors of the batch, those of clip 0 first.
    """
    sources = _sources(batch)[actors]
    labels = torch.cat(list(batch.labels))
    return PenaltyRows(
        clip_index=_clips_of_actors(batch)[actors],
        labels=labels[actors],
        actors=_one_hot(actors, len(labels)),
        sources=_one_hot(sources, len(batch)),
    )


def rows_of_labels(batch: ClipBatch, seen: Float[Tensor, "B B"], num_classes: int) -> PenaltyRows:
    """Return a row for each pair (clip, label) of a batch, clip after clip; it reads no labels of actors.

    Args:
        batch: mixed or not, with labels of the videos.
        seen: (clip, source) weight of what the clip shows of the source, 0 for nothing; see `sources_of_actors`.
        num_classes: K.

    Raises:
        ShapeError: the batch does not say which labels its videos have.
    """
    clip_index, labels = label_targets(batch, seen, num_classes).nonzero().unbind(1)
    sources = (seen[clip_index] > 0) & _label_sets(batch, num_classes)[:, labels].T
    in_clip = _clips_of_actors(batch) == clip_index[:, None]
    return PenaltyRows(
        clip_index=clip_index,
        labels=labels,
        actors=in_clip & sources[:, _sources(batch)],
        sources=sources,
    )


def label_targets(batch: ClipBatch, seen: Float[Tensor, "B B"], num_classes: int) -> Float[Tensor, "B K"]:
    """Return what the scores of each clip should be: for a label the largest weight of the sources that have it.

    Args:
        batch: with labels of the videos.
        seen: (clip, source) weight of what the clip shows of the source, 0 for nothing; see `sources_of_actors`.
        num_classes: K.

    Raises:
        ShapeError: the batch does not say which labels its videos have.
    """
    return (seen[:, :, None] * _label_sets(batch, num_classes)).amax(1)


def sources_of_actors(batch: ClipBatch, actors: Int64[Tensor, " A"]) -> Float[Tensor, "B B"]:
    """Return for (clip, source) the largest label weight of some actors of the clip that the source has; 0 without one.

    Args:
        batch: mixed or not.
        actors: their numbers among all actors of the batch, those of clip 0 first.
    """
    clip_index, sources = _clips_of_actors(batch)[actors], _sources(batch)[actors]
    weights = batch.clips.new_ones(len(actors), dtype=torch.float32)
    if batch.label_weights is not None:
        weights = torch.cat(list(batch.label_weights))[actors]
    seen = weights.new_zeros(len(batch) ** 2)
    return seen.scatter_reduce(0, clip_index * len(batch) + sources, weights, "amax").view(len(batch), -1)


def sources_of_voxels(batch: ClipBatch) -> Float[Tensor, "B B"]:
    """Return for (clip, source) 1 if a voxel of the clip was taken from the source, or else 0.

    For videos without boxes. A clip that shows a source's background alone has its labels too: with boxes,
    `sources_of_actors` knows better.

    Raises:
        ShapeError: the batch does not say which clips its voxels are from.
    """
    if batch.voxel_sources is None:
        raise ShapeError(
            "clip batch has no voxel_sources, which clip a voxel is from: add_provenance or a mixer adds it"
        )
    seen = torch.zeros(len(batch), len(batch), device=batch.clips.device)
    return seen.scatter(1, batch.voxel_sources.flatten(1).long(), 1.0)


def _sources(batch: ClipBatch) -> Int64[Tensor, " N"]:
    """Return which clip each of all actors is from: before mixing the one that it is in."""
    return _clips_of_actors(batch) if batch.sources is None else torch.cat(list(batch.sources))


def _clips_of_actors(batch: ClipBatch) -> Int64[Tensor, " N"]:
    """Return the clip that each of all actors is in."""
    return torch.cat([torch.full_like(labels, index) for index, labels in enumerate(batch.labels)])


def _label_sets(batch: ClipBatch, num_classes: int) -> Bool[Tensor, "B K"]:
    """Return which labels the video of each clip has, before anything was mixed into it."""
    if batch.video_labels is None:
        raise ShapeError(
            "clip batch has no video_labels, what the videos of its clips show: ClipDataset reads them from "
            "Video.label_set; give every clip its video_labels"
        )
    return torch.stack([_one_hot(labels, num_classes).any(0) for labels in batch.video_labels])


def _one_hot(indices: Int64[Tensor, " R"], num: int) -> Bool[Tensor, "R _"]:
    """Return rows that are True at one place."""
    return F.one_hot(indices, num).bool() if len(indices) else indices.new_zeros((0, num), dtype=torch.bool)
