"""On which voxels may a score depend? The sources of the masks that penalties are given.

A mask belongs to a row of the penalty, see `PenaltyRows`: to an actor, or to a label of a clip whose actor nobody
knows. All sources serve both. For labels of clips `SourceClipMasks` are the paper's M, all voxels of the sources that
have the label; `ProvenanceMasks` are stricter: the voxels of all people of these sources.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor
from torch.nn import functional as F

from stal.errors import ConfigError, ShapeError
from stal.mixing.difference import changed_voxels
from stal.mixing.penalty_rows import PenaltyRows
from stal.ops.masks import grow_masks
from stal.structures import ClipBatch

RandomKind = Literal["displaced", "bernoulli"]


@runtime_checkable
class MaskSource(Protocol):
    """Says which voxels are a row's."""

    def __call__(self, batch: ClipBatch, rows: PenaltyRows, generator: torch.Generator) -> Bool[Tensor, "R T H W"]:
        """Return a mask for each row, True where its score may look.

        Args:
            batch: with provenance.
            rows: of the penalty.
            generator: on the CPU, the only source of chance.
        """
        ...


@dataclass(frozen=True)
class ProvenanceMasks:
    """The voxels that the provenance says are the row's actors': boxes or silhouettes, as the batch was made.

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

    def __call__(self, batch: ClipBatch, rows: PenaltyRows, generator: torch.Generator) -> Bool[Tensor, "R T H W"]:
        """Return the masks, see `MaskSource`."""
        masks = _voxels_of_actors(batch, rows)
        return grow_masks(masks, self.grow) if self.grow else masks


@dataclass(frozen=True)
class SourceClipMasks:
    """All voxels of the clips that the row is about, also those of their background: the paper's A against B.

    In a clip into which nothing of another was mixed these are all.
    """

    def __call__(self, batch: ClipBatch, rows: PenaltyRows, generator: torch.Generator) -> Bool[Tensor, "R T H W"]:
        """Return the masks, see `MaskSource`.

        Raises:
            ShapeError: the batch does not say which clips its voxels are from.
        """
        return _looked_up(rows.sources, _voxel_sources(batch)[rows.clip_index])


@dataclass(frozen=True)
class RandomMasks:
    """As many voxels as other masks have, frame by frame, at random, wherever those are: the control for provenance.

    Attributes:
        kind: `displaced`: the other mask, moved by one random distance on all frames, where what leaves the image on
            a side comes back on the other. `bernoulli`: voxels drawn at random on each frame. Either may by chance
            lie over the actor.
        of: the masks that these are the control for.
    """

    kind: RandomKind = "displaced"
    of: MaskSource = ProvenanceMasks()

    def __post_init__(self) -> None:
        if self.kind not in get_args(RandomKind):
            raise ConfigError(f"RandomMasks: kind {self.kind!r} is neither 'displaced' nor 'bernoulli'")

    def __call__(self, batch: ClipBatch, rows: PenaltyRows, generator: torch.Generator) -> Bool[Tensor, "R T H W"]:
        """Return the masks, see `MaskSource`."""
        masks = self.of(batch, rows, generator)
        return (_displace if self.kind == "displaced" else _scatter)(masks, generator)


@dataclass(frozen=True)
class EmptyMasks:
    """No voxel is a row's: what is penalised outside of the masks is the whole gradient, the other control."""

    def __call__(self, batch: ClipBatch, rows: PenaltyRows, generator: torch.Generator) -> Bool[Tensor, "R T H W"]:
        """Return the masks, see `MaskSource`."""
        return batch.clips.new_zeros((len(rows), *batch.clips.shape[2:]), dtype=torch.bool)


@dataclass(frozen=True)
class DifferenceMasks:
    """What an editing mixer left as it was: the clip without the voxels over Otsu's threshold (see `changed_voxels`).

    It asks for no silhouettes, and knows no actors: all rows of a clip have the same mask. Two scenes are alike in
    many places, and what is alike counts as left: of the voxels that `SceneSwap` replaced in clips of UCF101-24, the
    threshold found about half. In a clip that the mixer passed on as it came, which equals its original and has no
    voxel of another clip, a row has the mask of its actors' provenance.
    """

    def __call__(self, batch: ClipBatch, rows: PenaltyRows, generator: torch.Generator) -> Bool[Tensor, "R T H W"]:
        """Return the masks, see `MaskSource`.

        Raises:
            ShapeError: there are no originals, an edited clip equals its original, or a row is about what was pasted
                into its clip: then that is the edit, and what was left as it was is another's.
        """
        if batch.originals is None:
            raise ShapeError(
                "clip batch has no originals, from which edited clips differ: let the preprocessor keep them, "
                "model.data_preprocessor.keep_originals=True, or take other masks, "
                "model.penalty_masks=dict(type=ProvenanceMasks)"
            )
        voxel_sources = _voxel_sources(batch)
        clips = torch.arange(len(batch), device=voxel_sources.device)
        pasted = (rows.sources & (clips != rows.clip_index[:, None])).nonzero().tolist()
        if pasted:
            row, source = pasted[0]
            raise ShapeError(
                f"row {row} of the penalty, in clip {int(rows.clip_index[row])}, is about what was pasted there from "
                f"clip {source}: a difference image tells what was left of a clip, not who was added; use "
                "ProvenanceMasks or SourceClipMasks with mixers that paste actors"
            )
        foreign = voxel_sources != clips.view(-1, 1, 1, 1)
        edited = _any_voxel(foreign) | _any_voxel((batch.originals != batch.clips).flatten(1, 2))
        unchanged = torch.zeros_like(voxel_sources, dtype=torch.bool)
        unchanged[edited] = ~changed_voxels(batch.originals[edited], batch.clips[edited])
        of_edit = edited[rows.clip_index].view(-1, 1, 1, 1)
        return torch.where(of_edit, unchanged[rows.clip_index], _voxels_of_actors(batch, rows))


def _voxel_sources(batch: ClipBatch) -> Shaped[Tensor, "B T H W"]:
    """Return which clip each voxel is from."""
    if batch.voxel_sources is None:
        raise ShapeError(
            "clip batch has no voxel_sources, which clip a voxel is from: add_provenance or a mixer adds it"
        )
    return batch.voxel_sources


def _voxels_of_actors(batch: ClipBatch, rows: PenaltyRows) -> Bool[Tensor, "R T H W"]:
    """Return where the actors of each row are, by their provenance."""
    if batch.provenance is None:
        raise ShapeError(
            "clip batch has no provenance, which tells its actors' voxels: add_provenance or a mixer adds it"
        )
    num_actors = torch.tensor([len(labels) for labels in batch.labels], device=batch.provenance.device)
    first_actor = (num_actors.cumsum(0) - num_actors).to(batch.provenance.dtype).view(-1, 1, 1, 1)
    actors = torch.where(batch.provenance > 0, batch.provenance + first_actor, 0)  # 0 = none, k = k - 1 of all actors
    return _looked_up(F.pad(rows.actors, (1, 0)), actors[rows.clip_index])


def _looked_up(table: Bool[Tensor, "R M"], numbers: Shaped[Tensor, "R T H W"]) -> Bool[Tensor, "R T H W"]:
    """Return of each row of numbers what its row of the table says of them."""
    masks = torch.empty_like(numbers, dtype=torch.bool)
    for mask, known, volume in zip(masks, table, numbers, strict=True):
        mask.copy_(known.index_select(0, volume.flatten().int()).view_as(volume))
    return masks


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
