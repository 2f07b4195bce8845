"""Say of every voxel of a clip which actor it belongs to, or that it is background."""

import dataclasses
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Int16
from torch import Tensor

from stal.errors import ConfigError, ShapeError
from stal.ops.masks import box_masks
from stal.structures import ClipBatch

ActorMask = Literal["box", "silhouette"]


def drop_hidden_actors(batch: ClipBatch) -> ClipBatch:
    """Take actors out of the annotation wherever the provenance has no voxel of them.

    On such a frame an actor is not valid, and its box and silhouette are empty. Actors left without a valid frame are
    removed, and the ids in `provenance` follow the rows that are left.

    Args:
        batch: clips with `provenance` and `sources`.

    Raises:
        ShapeError: the batch has no provenance yet.
    """
    if batch.provenance is None or batch.sources is None:
        raise ShapeError("clip batch has no provenance yet: add it with add_provenance or by mixing")
    seen = [_seen_frames(ids, len(labels)) for ids, labels in zip(batch.provenance, batch.labels, strict=True)]
    kept = [frames.any(dim=1) for frames in seen]
    valid = tuple(frames[rows] for frames, rows in zip(seen, kept, strict=True))
    actor_masks = None
    if batch.actor_masks is not None:
        actor_masks = tuple(
            masks[rows] & frames[..., None, None]
            for masks, rows, frames in zip(batch.actor_masks, kept, valid, strict=True)
        )
    return dataclasses.replace(
        batch,
        boxes=tuple(
            boxes[rows] * frames[..., None] for boxes, rows, frames in zip(batch.boxes, kept, valid, strict=True)
        ),
        valid=valid,
        labels=tuple(labels[rows] for labels, rows in zip(batch.labels, kept, strict=True)),
        actor_masks=actor_masks,
        provenance=torch.stack([_renumber(ids, rows) for ids, rows in zip(batch.provenance, kept, strict=True)]),
        sources=tuple(sources[rows] for sources, rows in zip(batch.sources, kept, strict=True)),
        label_weights=None
        if batch.label_weights is None
        else tuple(weights[rows] for weights, rows in zip(batch.label_weights, kept, strict=True)),
    )


def actor_volumes(batch: ClipBatch, mask: ActorMask) -> list[Bool[Tensor, "_ T H W"]]:
    """Return the voxels of every actor of every clip on its valid frames; those of two actors may overlap.

    Args:
        batch: clips as they come from videos, or with provenance, which then says whose a voxel is.
        mask: whether an actor is its box, or its silhouette as far as that is inside the box; of no meaning for clips
            with provenance.

    Returns:
        For each clip (N, T, H, W).

    Raises:
        ConfigError: `mask` is neither.
        ShapeError: silhouettes are wanted, and the batch has none.
    """
    if mask not in ("box", "silhouette"):
        raise ConfigError(f"mask {mask!r}: an actor is a 'box' or a 'silhouette'")
    if batch.provenance is not None:
        return [_volumes(ids, len(labels)) for ids, labels in zip(batch.provenance, batch.labels, strict=True)]
    if mask == "silhouette" and batch.actor_masks is None:
        raise ShapeError(
            "clip batch has no silhouettes (actor_masks): read clips of videos that have a masks_path with "
            "ClipDataset(with_masks=True), in a config train_dataloader.dataset.with_masks=True, or use mask='box'"
        )
    *_, height, width = batch.clips.shape
    volumes = [
        box_masks(boxes, height, width) & valid[..., None, None]
        for boxes, valid in zip(batch.boxes, batch.valid, strict=True)
    ]
    if mask == "silhouette" and batch.actor_masks is not None:
        volumes = [volume & masks for volume, masks in zip(volumes, batch.actor_masks, strict=True)]
    return volumes


def paint_actors(volumes: Bool[Tensor, "N T H W"], boxes: Float32[Tensor, "N T 4"]) -> Int16[Tensor, "T H W"]:
    """Paint actors into one volume of ids, on every frame from far to near.

    The actor whose box ends lower in the image is nearer: it stands on ground closer to the camera. Of equals the
    later row is nearer.

    Args:
        volumes: voxels of each actor.
        boxes: of each actor, xyxy half-open pixels of the clip; only y2 is used.

    Returns:
        0 = background, k >= 1 = actor k - 1.
    """
    num_actors, *size = volumes.shape
    if num_actors == 0:
        return volumes.new_zeros(size, dtype=torch.int16)
    far_to_near = boxes[..., 3].argsort(dim=0, stable=True)
    nearness = far_to_near.argsort(dim=0) + 1  # 1 = farthest actor of the frame
    nearest = (volumes * nearness.to(torch.int16)[..., None, None]).amax(dim=0)  # 0 = none
    id_of_nearness = F.pad(far_to_near + 1, (0, 0, 1, 0)).T.to(torch.int16)  # (T, N + 1)
    return id_of_nearness.gather(1, nearest.flatten(1).long()).view(size)


def _volumes(provenance: Int16[Tensor, "T H W"], num_actors: int) -> Bool[Tensor, "N T H W"]:
    """Return the voxels of each actor."""
    ids = torch.arange(1, num_actors + 1, device=provenance.device, dtype=provenance.dtype)
    return provenance == ids.view(-1, 1, 1, 1)


def _seen_frames(provenance: Int16[Tensor, "T H W"], num_actors: int) -> Bool[Tensor, "N T"]:
    """Return the frames on which each actor has a voxel."""
    ids = torch.arange(1, num_actors + 1, device=provenance.device, dtype=provenance.dtype)
    return (provenance.flatten(1) == ids[:, None, None]).sum(dim=2) > 0  # on the CPU several times faster than any()


def _renumber(provenance: Int16[Tensor, "T H W"], kept: Bool[Tensor, " N"]) -> Int16[Tensor, "T H W"]:
    """Return the ids that actors have once only the `kept` rows are left; the others have no voxel."""
    new_ids = F.pad(kept.cumsum(dim=0), (1, 0)).to(provenance.dtype)
    return new_ids.index_select(0, provenance.flatten().int()).view_as(provenance)  # 5 times faster than new_ids[...]
