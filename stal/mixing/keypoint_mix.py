"""BatchMix as the paper has it: the persons of two videos, as clouds of joints, in one clip.

Nagano et al., CVPR 2026, arXiv 2604.02946, on the model of Hachiuma, Sato, Sekii, CVPR 2023. A batch of joints is a
`ClipBatch` whose rows are persons and whose columns are joints: `clips` (B, 3, T, P, J) are x, y and score, and
`provenance` (B, T, P, J) says which joints are there, and whose. A clip has P places for persons, of which its own take
the first.
"""

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from stal.errors import ShapeError
from stal.mixing.drawing import check_probability
from stal.mixing.mask_sources import ProvenanceMasks
from stal.mixing.penalty_rows import PenaltyRows
from stal.structures import ClipBatch


def joint_provenance(
    there: Bool[Tensor, "B T P J"], num_persons: Int64[Tensor, " B"]
) -> tuple[Int64[Tensor, "B T P J"], Int64[Tensor, "B T P J"]]:
    """Return `provenance` and `voxel_sources` of clips of joints that are not mixed.

    Args:
        there: which joints are there.
        num_persons: of each clip; they take the first places.
    """
    batch_size, _, places, _ = there.shape
    place = torch.arange(places, device=there.device)
    is_person = place < num_persons[:, None]
    provenance = there * (is_person * (place + 1))[:, None, :, None]
    sources = torch.arange(batch_size, device=there.device).view(-1, 1, 1, 1).expand_as(provenance)
    return provenance, sources.clone()


@dataclass(frozen=True)
class KeypointMix:
    """Let the persons of another clip of the batch join those of a clip.

    They follow the clip's own in `boxes`, `valid` and `labels`, and on the places behind them. If there are more than
    places are left, some are drawn. A clip without a free place, or whose batch offers no other clip with persons, is
    not mixed. Nobody hides anybody: a joint that is there stays.

    Attributes:
        probability: that a clip is mixed.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self, "probability")

    def __call__(self, batch: ClipBatch, generator: torch.Generator) -> ClipBatch:
        """Return the mixed batch; nothing in `batch` is changed.

        Args:
            batch: clips of joints, with provenance and sources.
            generator: on the CPU, whatever the device of the batch.

        Raises:
            ShapeError: the batch has no provenance.
        """
        return _join(batch, [self._draw_rows(batch, host, generator) for host in range(len(batch))])

    def _draw_rows(self, batch: ClipBatch, host: int, generator: torch.Generator) -> tuple[int, Tensor]:
        """Return a donor, and which of its persons join clip `host`."""
        mix = float(torch.rand((), generator=generator)) < self.probability
        donors = [other for other, labels in enumerate(batch.labels) if other != host and len(labels)]
        free = batch.clips.shape[3] - len(batch.labels[host])
        if not mix or not donors or not free:
            return host, batch.labels[host].new_zeros(0)
        donor = donors[int(torch.randint(len(donors), (), generator=generator))]
        rows = torch.randperm(len(batch.labels[donor]), generator=generator)[:free]
        return donor, rows.to(batch.clips.device)


@dataclass(frozen=True)
class RandomPersonMasks:
    """As many persons of the clip as the row is about, drawn at random, with all their joints: the control.

    In a clip that is not mixed a row is about all of its persons, and so are these masks.
    """

    def __call__(self, batch: ClipBatch, rows: PenaltyRows, generator: torch.Generator) -> Bool[Tensor, "R T H W"]:
        """Return the masks, see `MaskSource`."""
        clips = torch.cat([torch.full_like(labels, clip) for clip, labels in enumerate(batch.labels)])
        places = torch.rand(rows.actors.shape, generator=generator).to(clips.device)
        places = torch.where(clips == rows.clip_index[:, None], places, torch.inf)
        drawn = places.argsort(1).argsort(1) < rows.actors.sum(1, keepdim=True)
        return ProvenanceMasks()(batch, dataclasses.replace(rows, actors=drawn), generator)


def _join(batch: ClipBatch, joined: list[tuple[int, Tensor]]) -> ClipBatch:
    """Return the batch with the persons (donor, rows) added to each of its clips."""
    if batch.provenance is None or batch.voxel_sources is None:
        raise ShapeError(
            "clip batch has no provenance, which says whose joints these are: KeypointPreprocessor adds it"
        )
    clips, provenance, voxel_sources = batch.clips.clone(), batch.provenance.clone(), batch.voxel_sources.clone()
    for host, (donor, rows) in enumerate(joined):
        first = len(batch.labels[host])
        places = slice(first, first + len(rows))
        ids = torch.arange(first + 1, first + 1 + len(rows), device=provenance.device)[:, None]
        clips[host][:, :, places] = batch.clips[donor][:, :, rows]
        provenance[host][:, places] = (batch.provenance[donor][:, rows] > 0) * ids
        voxel_sources[host][:, places] = batch.voxel_sources[donor][:, rows]

    def added(of_clips: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(
            torch.cat([own, of_clips[donor][rows]]) for own, (donor, rows) in zip(of_clips, joined, strict=True)
        )

    return dataclasses.replace(
        batch,
        clips=clips,
        provenance=provenance,
        voxel_sources=voxel_sources,
        boxes=added(batch.boxes),
        valid=added(batch.valid),
        labels=added(batch.labels),
        sources=None if batch.sources is None else added(batch.sources),
        label_weights=None if batch.label_weights is None else added(batch.label_weights),
    )
