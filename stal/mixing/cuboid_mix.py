"""CuboidMix: a cuboid of one clip of a batch in place of the same cuboid of another.

VideoMix (Yun et al. 2020, arXiv 2012.03457) for detectors.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from stal.errors import ConfigError
from stal.mixing.clip_mixer import ClipMixer
from stal.mixing.drawing import check_positive, check_probability, draw_beta, draw_donor
from stal.mixing.layers import Layer, overlay
from stal.mixing.provenance import ActorMask

CuboidKind = Literal["spatial", "temporal", "spatio_temporal"]


@dataclass(frozen=True)
class CuboidMix(ClipMixer):
    """Replace a cuboid of a clip by that of another clip of the batch, with the actors that are seen in it.

    A share lambda ~ Beta(alpha, alpha) of the clip's voxels stays its own. VideoMix labels a clip with the classes of
    both, weighted by lambda and 1 - lambda. Here every actor has a label, and its weight is multiplied by the part of
    its own voxels that is still seen, over all frames; frames on which less than `min_visible` of it is seen count as
    not seen. Another difference: the cuboid is drawn where it fits into the clip as a whole, so that lambda is its
    share; VideoMix draws its middle, as CutMix does (Yun et al. 2019, arXiv 1905.04899), and cuts it at the border.

    The scene of a mixed clip is that of the clip that most of its voxels come from.

    Attributes:
        probability: that a clip is mixed.
        alpha: of the share's distribution; 1 is uniform, a large one mixes half and half.
        kind: whether the cuboid is a part of the frame on all frames (`spatial`), whole frames (`temporal`), or a part
            of some frames (`spatio_temporal`). What it is a part of, it is a part of in the same proportion.
        mask: whether an actor is its box or its silhouette.
        min_visible: smallest part of an actor's voxels that has to remain for it to be labelled on a frame.
    """

    probability: float = 0.5
    alpha: float = 1.0
    kind: CuboidKind = "spatial"
    mask: ActorMask = "box"
    min_visible: float = 0.3

    def __post_init__(self) -> None:
        check_probability(self, "probability", "min_visible")
        check_positive(self, "alpha")
        if self.kind not in get_args(CuboidKind):
            raise ConfigError(f"CuboidMix: kind is {self.kind!r}, and must be one of {get_args(CuboidKind)}")

    def _mix(self, host: int, layers: list[Layer], generator: torch.Generator) -> Layer:
        front, back = draw_donor(host, layers, generator, self.probability, with_actors=False), layers[host]
        if front is None:
            return back
        share = 1 - draw_beta(self.alpha, generator)
        cuboid = self._draw_cuboid(back.voxel_sources, share, generator)
        mixed = overlay(front, back, cuboid, min_visible=self.min_visible)
        num_voxels = torch.cat([back.volumes, front.volumes]).sum(dim=(1, 2, 3))
        seen = mixed.volumes.sum(dim=(1, 2, 3)) / num_voxels.clamp(min=1)
        taken = 2 * cuboid.sum() > cuboid.numel()
        return dataclasses.replace(mixed.reweighted(seen), scene=torch.where(taken, front.scene, back.scene))

    def _draw_cuboid(self, voxels: Tensor, share: float, generator: torch.Generator) -> Bool[Tensor, "T H W"]:
        """Draw which voxels are replaced: a cuboid with this share of them."""
        axes = {"spatial": (1, 2), "temporal": (0,), "spatio_temporal": (0, 1, 2)}[self.kind]
        cuboid = torch.zeros_like(voxels, dtype=torch.bool)
        spans = [slice(None)] * 3
        for axis in axes:
            size = voxels.shape[axis]
            length = max(round(size * share ** (1 / len(axes))), 1)
            start = int(torch.randint(size - length + 1, (), generator=generator))
            spans[axis] = slice(start, start + length)
        cuboid[tuple(spans)] = True
        return cuboid
