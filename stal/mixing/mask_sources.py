"""On which voxels may the scores of an actor depend? The sources of the masks that penalties are given."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from stal.errors import ConfigError, ShapeError
from stal.mixing.difference import changed_voxels
from stal.mixing.provenance import provenance_masks
from stal.ops.masks import grow_masks
from stal.structures import ClipBatch

RandomKind = Literal["displaced", "bernoulli"]


@runtime_checkable
class MaskSource(Protocol):
    """Says which voxels are an actor's."""

    def __call__(
        self, batch: ClipBatch, actors: Int64[Tensor, " A"], generator: torch.Generator
    ) -> Bool[Tensor, "A T H W"]:
        """Return a mask for each of some actors, True where it may be looked at.

        Args:
            batch: with provenance.
            actors: their numbers among all actors of the batch, those of clip 0 first.
            generator: on the CPU, the only source of chance.
        """
        ...


@dataclass(frozen=True)
class ProvenanceMasks:
    """The voxels that the provenance says are the actor's: its box or its silhouette, as the batch was made.

    Attributes:
        grow: fraction of its own width and height on a frame by which a mask is dilated, or if negative eroded, see
            `grow_masks`. The paper compares 10 and 30 % of both. A dilated mask may reach over other actors.
    """

    grow: float = 0.0

    def __post_init__(self) -> None:
        if not -1 < self.grow < float("inf"):
            raise ConfigError(
                f"ProvenanceMasks: grow is {self.grow}; it is a fraction of an actor's size, over -1 and finite: 0.1 "
                "dilates by 10 %, -0.1 erodes by as much"
            )

    def __call__(
        self, batch: ClipBatch, actors: Int64[Tensor, " A"], generator: torch.Generator
    ) -> Bool[Tensor, "A T H W"]:
        """Return the masks, see `MaskSource`."""
        masks = provenance_masks(batch)[actors]
        return grow_masks(masks, self.grow) if self.grow else masks


@dataclass(frozen=True)
class SourceClipMasks:
    """The voxels of the clip that the actor was taken from, also those of its background: the paper's A against B.

    In a clip into which nothing of another was mixed these are all.
    """

    def __call__(
        self, batch: ClipBatch, actors: Int64[Tensor, " A"], generator: torch.Generator
    ) -> Bool[Tensor, "A T H W"]:
        """Return the masks, see `MaskSource`.

        Raises:
            ShapeError: the batch does not say which clips its voxels and actors are from.
        """
        sources, voxel_sources = _sources(batch)
        own = sources[actors].to(voxel_sources.dtype)
        return voxel_sources[_clips_of_actors(batch)[actors]] == own.view(-1, 1, 1, 1)


@dataclass(frozen=True)
class RandomMasks:
    """As many voxels as the actor has, frame by frame, at random, wherever it is: the control for the true provenance.

    Attributes:
        kind: `displaced`: the actor's mask, moved by one random distance on all frames, where what leaves the image on
            a side comes back on the other. `bernoulli`: voxels drawn at random on each frame. Either may by chance
            lie over the actor.
    """

    kind: RandomKind = "displaced"

    def __post_init__(self) -> None:
        if self.kind not in get_args(RandomKind):
            raise ConfigError(f"RandomMasks: kind {self.kind!r} is neither 'displaced' nor 'bernoulli'")

    def __call__(
        self, batch: ClipBatch, actors: Int64[Tensor, " A"], generator: torch.Generator
    ) -> Bool[Tensor, "A T H W"]:
        """Return the masks, see `MaskSource`."""
        masks = provenance_masks(batch)[actors]
        return (_displace if self.kind == "displaced" else _scatter)(masks, generator)


@dataclass(frozen=True)
class EmptyMasks:
    """No voxel is an actor's: what is penalised outside of the actors is the whole gradient, the other control."""

    def __call__(
        self, batch: ClipBatch, actors: Int64[Tensor, " A"], generator: torch.Generator
    ) -> Bool[Tensor, "A T H W"]:
        """Return the masks, see `MaskSource`."""
        return batch.clips.new_zeros((len(actors), *batch.clips.shape[2:]), dtype=torch.bool)


@dataclass(frozen=True)
class DifferenceMasks:
    """What an editing mixer left as it was: the clip without the voxels over Otsu's threshold (see `changed_voxels`).

    It asks for no silhouettes, and knows no actors: all actors of a clip have the same mask. Two scenes are alike in
    many places, and what is alike counts as left: of the voxels that `SceneSwap` replaced in clips of UCF101-24, the
    threshold found about half. In a clip that the mixer passed on as it came, which equals its original and has no
    voxel of another clip, an actor has the mask of its provenance.
    """

    def __call__(
        self, batch: ClipBatch, actors: Int64[Tensor, " A"], generator: torch.Generator
    ) -> Bool[Tensor, "A T H W"]:
        """Return the masks, see `MaskSource`.

        Raises:
            ShapeError: there are no originals, an edited clip equals its original, or an actor was pasted into its
                clip: then it is the edit, and what was left as it was is another's.
        """
        if batch.originals is None:
            raise ShapeError(
                "clip batch has no originals, from which edited clips differ: let the preprocessor keep them, "
                "model.data_preprocessor.keep_originals=True, or take other masks, "
                "model.penalty_masks=dict(type=ProvenanceMasks)"
            )
        sources, voxel_sources = _sources(batch)
        clip_index = _clips_of_actors(batch)[actors]
        pasted = (sources[actors] != clip_index).nonzero().flatten().tolist()
        if pasted:
            row = pasted[0]
            raise ShapeError(
                f"actor {int(actors[row])} of the batch, in clip {int(clip_index[row])}, was pasted there from clip "
                f"{int(sources[actors[row]])}: a difference image tells what was left of a clip, not who was added; "
                "use ProvenanceMasks or SourceClipMasks with mixers that paste actors"
            )
        clips = torch.arange(len(batch), device=voxel_sources.device).view(-1, 1, 1, 1)
        edited = _any_voxel(voxel_sources != clips) | _any_voxel((batch.originals != batch.clips).flatten(1, 2))
        unchanged = torch.zeros_like(voxel_sources, dtype=torch.bool)
        unchanged[edited] = ~changed_voxels(batch.originals[edited], batch.clips[edited])
        return torch.where(edited[clip_index].view(-1, 1, 1, 1), unchanged[clip_index], provenance_masks(batch)[actors])


def _sources(batch: ClipBatch) -> tuple[Int64[Tensor, " N"], Tensor]:
    """Return which clip each of all actors, and each voxel, is from."""
    if batch.sources is None or batch.voxel_sources is None:
        raise ShapeError(
            "clip batch does not say which clips its actors and voxels are from (sources, voxel_sources): "
            "add_provenance or a mixer adds it"
        )
    return torch.cat(list(batch.sources)), batch.voxel_sources


def _clips_of_actors(batch: ClipBatch) -> Int64[Tensor, " N"]:
    """Return the clip that each of all actors is in."""
    return torch.cat([torch.full_like(labels, index) for index, labels in enumerate(batch.labels)])


def _any_voxel(volumes: Bool[Tensor, "B T H W"]) -> Bool[Tensor, " B"]:
    """Return which volumes are somewhere True."""
    return volumes.sum(dim=(1, 2, 3)) > 0  # on the CPU several times faster than any()


def _displace(masks: Bool[Tensor, "A T H W"], generator: torch.Generator) -> Bool[Tensor, "A T H W"]:
    """Return each mask moved around by one random distance on all frames."""
    height, width = masks.shape[2:]
    down = torch.randint(height, (len(masks),), generator=generator).tolist()
    right = torch.randint(width, (len(masks),), generator=generator).tolist()
    displaced = torch.empty_like(masks)
    for row, shift in enumerate(zip(down, right, strict=True)):
        displaced[row] = masks[row].roll(shift, dims=(1, 2))
    return displaced


def _scatter(masks: Bool[Tensor, "A T H W"], generator: torch.Generator) -> Bool[Tensor, "A T H W"]:
    """Return on each frame of each mask as many voxels as it has, drawn at random."""
    frames = masks.flatten(2).flatten(0, 1)
    ranks = torch.empty(frames.shape, dtype=torch.int32)
    for rank in ranks:
        torch.randperm(len(rank), generator=generator, out=rank)
    return (ranks.to(masks.device) < frames.sum(dim=1, keepdim=True)).view_as(masks)
