"""Clips as layers that can be laid over each other: what every mixer is made of.

A mixer takes the clips of a batch apart (`layers_of`), changes them, lays one over another (`overlay`), and puts them
together again (`join`), which says of every voxel whose it is.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, Int16, Int64, Shaped
from torch import Tensor

from stal.errors import ShapeError
from stal.mixing.blending import blend, feather_masks
from stal.mixing.provenance import ActorMask, actor_volumes, drop_hidden_actors, paint_actors
from stal.ops.masks import mask_boxes
from stal.structures import ClipBatch


@dataclass(frozen=True)
class Layer:
    """One clip with its actors.

    Attributes:
        frames: the clip, as it is in the batch.
        voxel_sources: the clip of the batch that each voxel was taken from.
        volumes: the voxels of each actor; those of two actors may overlap until the layer is joined to a batch.
        boxes: xyxy half-open pixels of the clip, cut to what is seen; zero where not `valid`.
        uncut_boxes: as they were before anything was laid over them: who ends lower in the image is nearer.
        valid: where an actor has a box.
        labels: 0-based classes.
        label_weights: the target of an actor's own class, 1 unless a mixer says less.
        sources: the clip of the batch that each actor was taken from.
        silhouettes: of the actors, None where unknown.
        scene: number of the scene that the layer shows, -1 where unknown.
    """

    frames: Shaped[Tensor, "C T H W"]
    voxel_sources: Int16[Tensor, "T H W"]
    volumes: Bool[Tensor, "N T H W"]
    boxes: Float32[Tensor, "N T 4"]
    uncut_boxes: Float32[Tensor, "N T 4"]
    valid: Bool[Tensor, "N T"]
    labels: Int64[Tensor, " N"]
    label_weights: Float32[Tensor, " N"]
    sources: Int64[Tensor, " N"]
    silhouettes: Bool[Tensor, "N T H W"] | None
    scene: Int64[Tensor, ""]

    @property
    def actors(self) -> Bool[Tensor, "T H W"]:
        """The voxels of all actors together."""
        return self.volumes.sum(dim=0) > 0  # on the CPU several times faster than any()

    def with_actors(self, rows: Shaped[Tensor, " R"]) -> "Layer":
        """Return the layer with only some of its actors, by their rows (numbers, in their order, or True and False).

        The pixels of the others stay; no one's, they are background.
        """
        return dataclasses.replace(
            self,
            volumes=self.volumes[rows],
            boxes=self.boxes[rows],
            uncut_boxes=self.uncut_boxes[rows],
            valid=self.valid[rows],
            labels=self.labels[rows],
            label_weights=self.label_weights[rows],
            sources=self.sources[rows],
            silhouettes=None if self.silhouettes is None else self.silhouettes[rows],
        )

    def cut_out(self) -> "Layer":
        """Return the layer with silhouettes that end where the voxels of their actors do."""
        if self.silhouettes is None:
            return self
        return dataclasses.replace(self, silhouettes=self.silhouettes & self.volumes)

    def without_actors(self) -> "Layer":
        """Return the layer as a scene: nothing in it is anyone's."""
        return self.with_actors(self.labels.new_zeros(0))

    def reweighted(self, factor: float | Float[Tensor, " N"]) -> "Layer":
        """Return the layer with its label weights times a factor in [0, 1]."""
        return dataclasses.replace(self, label_weights=(self.label_weights * factor).float())

    def keep(self, visible: Bool[Tensor, "T H W"], min_visible: float) -> "Layer":
        """Return the layer with its actors cut to the `visible` voxels, frame by frame.

        - All of an actor's voxels are visible: its box stays as it was.
        - A part, and `min_visible` or more of its voxels: its box is cut to the tight box of what remains.
        - Less: it has no valid box on that frame, and its voxels there are no one's.

        Args:
            visible: voxels that are seen.
            min_visible: smallest part of an actor's voxels that has to remain for it to be labelled on a frame.
        """
        remaining = self.volumes & visible
        num_voxels, num_remaining = self.volumes.sum(dim=(2, 3)), remaining.sum(dim=(2, 3))
        untouched = num_remaining == num_voxels
        tight, _ = mask_boxes(remaining)
        cut = torch.cat(
            [self.boxes[..., :2].maximum(tight[..., :2]), self.boxes[..., 2:].minimum(tight[..., 2:])], dim=-1
        )
        valid = self.valid & (num_remaining >= min_visible * num_voxels)
        return dataclasses.replace(
            self,
            boxes=torch.where(untouched[..., None], self.boxes, cut) * valid[..., None],
            valid=valid,
            volumes=remaining & valid[..., None, None],
            silhouettes=None if self.silhouettes is None else self.silhouettes & visible,
        )


def layers_of(batch: ClipBatch, mask: ActorMask = "box") -> list[Layer]:
    """Take a batch apart into its clips.

    Args:
        batch: clips as they come from videos, or mixed already: then their provenance says which voxels are whose.
        mask: whether an actor of a clip from a video is its box or its silhouette; of no meaning for mixed ones.

    Raises:
        ConfigError: `mask` is neither.
        ShapeError: silhouettes are wanted, and the batch has none.
    """
    layers = []
    for index, volumes in enumerate(actor_volumes(batch, mask)):
        boxes, labels = batch.boxes[index], batch.labels[index]
        if batch.voxel_sources is None:
            voxel_sources = torch.full(volumes.shape[1:], index, dtype=torch.int16, device=volumes.device)
        else:
            voxel_sources = batch.voxel_sources[index]
        layers.append(
            Layer(
                frames=batch.clips[index],
                voxel_sources=voxel_sources,
                volumes=volumes,
                boxes=boxes,
                uncut_boxes=boxes,
                valid=batch.valid[index],
                labels=labels,
                label_weights=torch.ones_like(labels, dtype=torch.float32)
                if batch.label_weights is None
                else batch.label_weights[index],
                sources=torch.full_like(labels, index) if batch.sources is None else batch.sources[index],
                silhouettes=None if batch.actor_masks is None else batch.actor_masks[index],
                scene=labels.new_tensor(-1) if batch.scenes is None else batch.scenes[index],
            )
        )
    return layers


def overlay(
    front: Layer, back: Layer, covered: Bool[Tensor, "T H W"], *, min_visible: float, feather: int = 0
) -> Layer:
    """Lay the `covered` voxels of one layer over another.

    The actors of `back` come first, and are cut to what is not covered; those of `front` follow, cut to what is
    (see `Layer.keep`). Actors without a valid frame are still among them, for `join` to remove. The back has the scene.

    Args:
        front: seen where `covered`.
        back: seen elsewhere.
        covered: where the front hides the back.
        min_visible: smallest part of an actor's voxels that has to remain for it to be labelled on a frame.
        feather: pixels to either side of the border over which the front fades into the back, see `feather_masks`. A
            voxel comes from, and belongs to, what it shows most of: that is the front where `covered`.
    """
    back, front = back.keep(~covered, min_visible), front.keep(covered, min_visible)
    silhouettes = None
    if back.silhouettes is not None and front.silhouettes is not None:
        silhouettes = torch.cat([back.silhouettes, front.silhouettes])
    return Layer(
        frames=blend(front.frames, back.frames, feather_masks(covered, feather))
        if feather
        else torch.where(covered, front.frames, back.frames),
        voxel_sources=torch.where(covered, front.voxel_sources, back.voxel_sources),
        volumes=torch.cat([back.volumes, front.volumes]),
        boxes=torch.cat([back.boxes, front.boxes]),
        uncut_boxes=torch.cat([back.uncut_boxes, front.uncut_boxes]),
        valid=torch.cat([back.valid, front.valid]),
        labels=torch.cat([back.labels, front.labels]),
        label_weights=torch.cat([back.label_weights, front.label_weights]),
        sources=torch.cat([back.sources, front.sources]),
        silhouettes=silhouettes,
        scene=back.scene,
    )


def join(layers: Sequence[Layer], batch: ClipBatch) -> ClipBatch:
    """Put layers together to a batch, and say of every voxel which actor's it is.

    Every valid box holds at least one voxel of its actor, and all that the actor has on that frame. An actor without a
    voxel on a frame (nearer actors cover it, or its silhouette is missing there) is hidden: it is not valid on that
    frame. Actors left without a valid frame are removed (see `drop_hidden_actors`).

    Args:
        layers: one for each clip of the batch.
        batch: the batch that they were made of, for what layers do not hold.
    """
    silhouettes = [layer.silhouettes for layer in layers]
    return drop_hidden_actors(
        dataclasses.replace(
            batch,
            clips=torch.stack([layer.frames for layer in layers]),
            boxes=tuple(layer.boxes for layer in layers),
            valid=tuple(layer.valid for layer in layers),
            labels=tuple(layer.labels for layer in layers),
            label_weights=tuple(layer.label_weights for layer in layers),
            actor_masks=None if any(s is None for s in silhouettes) else tuple(silhouettes),  # type: ignore[arg-type]
            provenance=torch.stack([paint_actors(layer.volumes, layer.uncut_boxes) for layer in layers]),
            voxel_sources=torch.stack([layer.voxel_sources for layer in layers]),
            sources=tuple(layer.sources for layer in layers),
            scenes=None if batch.scenes is None else torch.stack([layer.scene for layer in layers]),
        )
    )


def add_provenance(batch: ClipBatch, mask: ActorMask = "box") -> ClipBatch:
    """Give clips that are not mixed their provenance, and every actor its own clip as source; see `join`.

    Args:
        batch: clips as they come from videos.
        mask: whether an actor is its box or its silhouette.

    Returns:
        The batch with `provenance`, `sources`, `voxel_sources` and `label_weights`.

    Raises:
        ConfigError: `mask` is neither.
        ShapeError: the batch has provenance already, or silhouettes are wanted and it has none.
    """
    if batch.provenance is not None:
        raise ShapeError("clip batch has provenance already: mix it, or add provenance, only once")
    return dataclasses.replace(join(layers_of(batch, mask), batch), clips=batch.clips)  # clips themselves, no copy
