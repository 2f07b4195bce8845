"""BatchMix: put actors of one clip of a batch into another, and remember which voxel came from where.

The paper (Nagano et al., CVPR 2026, arXiv 2604.02946) joins the skeletons of two videos as point clouds. This is an
adaptation to pixels: the boxes or silhouettes of actors are copied with their pixels, at the same place and time unless
they are asked to be moved.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from stal.errors import ConfigError
from stal.mixing.clip_mixer import ClipMixer
from stal.mixing.drawing import check_probability, draw_between, draw_donor
from stal.mixing.layers import Layer, overlay
from stal.mixing.placement import Placement
from stal.mixing.provenance import ActorMask, paint_actors


@dataclass(frozen=True)
class BatchMix(ClipMixer):
    """Paste actors of other clips of the batch into its clips.

    A clip that is mixed has one donor, another clip of the batch as it came in. The pasted actors follow the clip's
    own ones in `boxes`, `valid`, `labels` and `actor_masks`; `sources` says which clip each was taken from. What a
    paste hides of an actor of the clip is judged frame by frame, see `Layer.keep`. A clip whose batch offers no other
    clip with actors is not mixed.

    Attributes:
        probability: that a clip is mixed.
        mask: whether an actor is its box or its silhouette.
        max_pasted: actors taken of a donor, at random, or all if it has fewer.
        min_visible: smallest part of an actor's voxels that has to remain for it to be labelled on a frame.
        occlusion: who hides whom: the pasted actors all of the clip (`front`), or who stands nearer the other, by whose
            box ends lower in the image (`depth`). Where less than `min_visible` of it would be seen, a pasted actor is
            not pasted.
        feather: pixels to either side of its edge over which a pasted actor fades into the clip, see `overlay`; 0 for
            a hard edge. Boxes and provenance are those of the hard edge, which is where the opacity is one half.
        scale: smallest and largest factor of the size of the pasted actors, see `Placement`; its logarithm is drawn
            uniformly.
        shift: largest part of the frame's width and height by which they are moved, in whole pixels.
        max_offset: largest number of frames by which they are moved in time, earlier or later. They are not there while
            their clip has not begun or is over; those that are not on the middle frame train no class.
    """

    probability: float = 0.5
    mask: ActorMask = "box"
    max_pasted: int = 1
    min_visible: float = 0.3
    occlusion: Literal["front", "depth"] = "front"
    feather: int = 0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    max_offset: int = 0

    def __post_init__(self) -> None:
        check_probability(self, "probability", "min_visible", "shift")
        if self.max_pasted < 1:
            raise ConfigError(
                f"BatchMix: max_pasted is {self.max_pasted}, and must be at least 1; to mix less, lower probability"
            )
        if self.occlusion not in ("front", "depth"):
            raise ConfigError(f"BatchMix: occlusion is {self.occlusion!r}, and must be 'front' or 'depth'")
        if min(self.feather, self.max_offset) < 0:
            raise ConfigError(
                f"BatchMix: feather is {self.feather} and max_offset {self.max_offset}: neither may be negative"
            )
        if not 0 < self.scale[0] <= self.scale[1] < float("inf"):
            raise ConfigError(f"BatchMix: scale is {self.scale}, and must be (smallest, largest) factor, above 0")

    def _mix(self, host: int, layers: list[Layer], generator: torch.Generator) -> Layer:
        donor, back = draw_donor(host, layers, generator, self.probability, with_actors=True), layers[host]
        if donor is None:
            return back
        rows = torch.randperm(len(donor.labels), generator=generator)[: self.max_pasted]
        front = donor.with_actors(rows.to(donor.labels.device)).cut_out()
        placement = self._draw_placement(front, generator)
        if placement != Placement():
            front = placement(front, self.min_visible)
        if self.occlusion == "depth":
            front = front.keep(_nearer(front, back), self.min_visible)
        return overlay(front, back, front.actors, min_visible=self.min_visible, feather=self.feather)

    def _draw_placement(self, front: Layer, generator: torch.Generator) -> Placement:
        """Draw where the pasted actors go; nothing is drawn for what stays as it is."""
        *_, height, width = front.frames.shape
        low, high = self.scale
        scale = low * (high / low) ** draw_between(0.0, 1.0, generator) if low < high else low
        x, y = (
            round(size * draw_between(-self.shift, self.shift, generator)) if self.shift else 0
            for size in (width, height)
        )
        m = self.max_offset
        offset = int(torch.randint(-m, m + 1, (), generator=generator)) if m else 0
        return Placement(scale, (x, y), offset)


def _nearer(front: Layer, back: Layer) -> Bool[Tensor, "T H W"]:
    """Return the voxels where an actor of the front is nearer than all of the back."""
    painted = paint_actors(torch.cat([back.volumes, front.volumes]), torch.cat([back.uncut_boxes, front.uncut_boxes]))
    return painted > len(back.labels)
