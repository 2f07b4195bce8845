"""BatchMix: put actors of one clip of a batch into another, and remember which voxel came from where.

The paper (Nagano et al., CVPR 2026, arXiv 2604.02946) joins the skeletons of two videos as point clouds. This is an
adaptation to pixels: the boxes or silhouettes of actors are copied with their pixels, at the same place and time.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int16, Int64, Shaped
from torch import Tensor

from stal.errors import ConfigError
from stal.mixing.provenance import ActorMask, actor_volumes, drop_hidden_actors, paint_actors
from stal.ops.masks import mask_boxes
from stal.structures import ClipBatch


def batch_mix(
    batch: ClipBatch,
    generator: torch.Generator,
    *,
    probability: float = 0.5,
    mask: ActorMask = "box",
    max_pasted: int = 1,
    min_visible: float = 0.3,
) -> ClipBatch:
    """Paste actors of other clips of the batch into its clips, on top, at the same place and time.

    A clip that is mixed has one donor, another clip of the batch as it came in. The pasted actors follow the clip's
    own ones in `boxes`, `valid`, `labels` and `actor_masks`; `sources` says which clip each was taken from.

    What a paste hides of an actor of the clip, frame by frame (its voxels are those of its box or silhouette):

    - nothing: its box stays as it was;
    - a part, and `min_visible` or more of its voxels remain: its box is cut to the tight box of what remains;
    - more: it has no valid box on that frame, and what remains of it counts as background, or as the actor of the
      clip that it overlapped.

    Every valid box holds at least one voxel of its actor, and all that the actor has on that frame. An actor without a
    voxel on a frame (nearer actors cover it, or its silhouette is missing there) is hidden: it is not valid on that
    frame. Actors left without a valid frame are removed, and the ids in `provenance` follow the rows that are left (see
    `drop_hidden_actors`). A clip whose batch offers no other clip with actors is not mixed.

    Args:
        batch: clips as they come from videos; nothing in it is changed.
        generator: on the CPU, whatever the device of the batch, so that all devices give the same mixes.
        probability: that a clip is mixed.
        mask: whether an actor is its box or its silhouette.
        max_pasted: actors taken of a donor, at random, or all if it has fewer.
        min_visible: smallest part of an actor's voxels that has to remain for it to be labelled on a frame.

    Returns:
        The mixed batch with `provenance` and `sources`, on the same device.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the batch has provenance already, or silhouettes are wanted and it has none.
    """
    _check_settings(probability, max_pasted, min_visible)
    volumes = actor_volumes(batch, mask)
    pastes = _draw_pastes([len(labels) for labels in batch.labels], generator, probability, max_pasted)
    mixed = [_paste(batch, volumes, host, donor, rows, min_visible) for host, (donor, rows) in enumerate(pastes)]
    joined = ClipBatch(
        clips=torch.stack([clip.frames for clip in mixed]),
        boxes=tuple(clip.boxes for clip in mixed),
        valid=tuple(clip.valid for clip in mixed),
        labels=tuple(clip.labels for clip in mixed),
        actor_masks=None if batch.actor_masks is None else tuple(clip.actor_masks for clip in mixed),  # type: ignore[misc]
        provenance=torch.stack([clip.provenance for clip in mixed]),
        sources=tuple(clip.sources for clip in mixed),
    )
    return drop_hidden_actors(joined)


@dataclass(frozen=True)
class BatchMix:
    """`batch_mix` with its settings, as configs name a mixer; the fields are the arguments of the function."""

    probability: float = 0.5
    mask: ActorMask = "box"
    max_pasted: int = 1
    min_visible: float = 0.3

    def __post_init__(self) -> None:
        _check_settings(self.probability, self.max_pasted, self.min_visible)

    def __call__(self, batch: ClipBatch, generator: torch.Generator) -> ClipBatch:
        """Return the mixed batch."""
        return batch_mix(
            batch,
            generator,
            probability=self.probability,
            mask=self.mask,
            max_pasted=self.max_pasted,
            min_visible=self.min_visible,
        )


class _MixedClip(NamedTuple):
    """One clip of the mixed batch."""

    frames: Shaped[Tensor, "C T H W"]
    boxes: Float32[Tensor, "N T 4"]
    valid: Bool[Tensor, "N T"]
    labels: Int64[Tensor, " N"]
    actor_masks: Bool[Tensor, "N T H W"] | None
    provenance: Int16[Tensor, "T H W"]
    sources: Int64[Tensor, " N"]


def _check_settings(probability: float, max_pasted: int, min_visible: float) -> None:
    for name, value in (("probability", probability), ("min_visible", min_visible)):
        if not 0 <= value <= 1:
            raise ConfigError(f"BatchMix: {name} is {value}, and must be between 0 and 1")
    if max_pasted < 1:
        raise ConfigError(
            f"BatchMix: max_pasted is {max_pasted}, and must be at least 1; to mix less, lower probability"
        )


def _draw_pastes(
    num_actors: list[int], generator: torch.Generator, probability: float, max_pasted: int
) -> list[tuple[int, Int64[Tensor, " R"]]]:
    """Draw for every clip its donor and the rows to paste; a clip that is not mixed is its own donor of no row."""
    pastes = []
    for host in range(len(num_actors)):
        mix = float(torch.rand((), generator=generator)) < probability
        donors = [clip for clip, count in enumerate(num_actors) if count and clip != host]
        if mix and donors:
            donor = donors[int(torch.randint(len(donors), (), generator=generator))]
            rows = torch.randperm(num_actors[donor], generator=generator)[:max_pasted]
            pastes.append((donor, rows))
        else:
            pastes.append((host, torch.zeros(0, dtype=torch.int64)))
    return pastes


def _paste(
    batch: ClipBatch,
    volumes: list[Bool[Tensor, "_ T H W"]],
    host: int,
    donor: int,
    rows: Int64[Tensor, " R"],
    min_visible: float,
) -> _MixedClip:
    """Return clip `host` with the actors `rows` of clip `donor` on top; actors that are hidden are still among them."""
    rows = rows.to(batch.clips.device)
    pasted = volumes[donor][rows]
    covered = pasted.sum(dim=0) > 0  # on the CPU several times faster than any()
    remaining = volumes[host] & ~covered
    host_boxes, host_valid = _cut_to_visible(
        batch.boxes[host], batch.valid[host], volumes[host], remaining, min_visible
    )
    remaining = remaining & host_valid[..., None, None]
    actor_masks = None
    if batch.actor_masks is not None:
        actor_masks = torch.cat([batch.actor_masks[host] & ~covered, batch.actor_masks[donor][rows] & pasted])
    uncut_boxes = torch.cat([batch.boxes[host], batch.boxes[donor][rows]])  # who is nearer is judged by these
    return _MixedClip(
        frames=torch.where(covered, batch.clips[donor], batch.clips[host]),
        boxes=torch.cat([host_boxes, batch.boxes[donor][rows]]),
        valid=torch.cat([host_valid, batch.valid[donor][rows]]),
        labels=torch.cat([batch.labels[host], batch.labels[donor][rows]]),
        actor_masks=actor_masks,
        provenance=paint_actors(torch.cat([remaining, pasted]), uncut_boxes),
        sources=torch.cat([torch.full_like(batch.labels[host], host), torch.full_like(rows, donor)]),
    )


def _cut_to_visible(
    boxes: Float32[Tensor, "N T 4"],
    valid: Bool[Tensor, "N T"],
    volumes: Bool[Tensor, "N T H W"],
    remaining: Bool[Tensor, "N T H W"],
    min_visible: float,
) -> tuple[Float32[Tensor, "N T 4"], Bool[Tensor, "N T"]]:
    """Return boxes cut to the voxels that remain, and the frames on which enough of them do; none may be enough."""
    num_voxels, num_remaining = volumes.sum(dim=(2, 3)), remaining.sum(dim=(2, 3))
    untouched = num_remaining == num_voxels
    tight, _ = mask_boxes(remaining)
    cut = torch.cat([boxes[..., :2].maximum(tight[..., :2]), boxes[..., 2:].minimum(tight[..., 2:])], dim=-1)
    return torch.where(untouched[..., None], boxes, cut), valid & (num_remaining >= min_visible * num_voxels)
