"""SceneSwap: the actors of one clip of a batch on the scene of another, which its own actors have left.

Composites of this kind test action recognition for reliance on the scene: HAT (Chung et al. 2022) and SCUBA (Li et al.
2023, arXiv 2211.12883). Here they are trained on.
"""

from dataclasses import dataclass
from typing import get_args

import torch

from stal.errors import ConfigError
from stal.mixing.clip_mixer import ClipMixer
from stal.mixing.drawing import check_probability, draw_donor
from stal.mixing.layers import Layer, overlay
from stal.mixing.plates import Plate, empty_scene
from stal.mixing.provenance import ActorMask


@dataclass(frozen=True)
class SceneSwap(ClipMixer):
    """Put all actors of a clip on the scene of another clip of the batch, without the actors of that one.

    The actors stay where and what they are, with their boxes and labels, and are seen on the frames on which they are
    annotated; around them is the donor, whose number `scenes` takes. Left as it is are a clip without a voxel of an
    actor, and one whose batch has no other clip.

    With `mask="box"` an actor carries along what else its box holds: a piece of its old scene, which the provenance
    counts as the actor. Such clips cannot teach that this piece does not matter; `mask="silhouette"` can. In return a
    silhouette leaves more of the donor's actors behind: a rim that it misses, for which `margin` is, and what they
    hold, if it misses that. Who is seen and never annotated stays in the scene, see `empty_scene`.

    Attributes:
        probability: that a clip gets another scene.
        mask: whether an actor is its box or its silhouette, for those who stay and for those who are removed.
        plate: what takes the place of the donor's actors. `static`: the donor stands still, its static plate on all
            frames; `inpaint`: the donor moves, and the plate fills in for its actors. Where camera or light move, the
            patches that fill in show, and move as the actors did.
        margin: pixels around the donor's actors that are removed with them.
        prefer_empty: draw among the clips without actors as long as there is one; their scene needs no plate.
    """

    probability: float = 0.5
    mask: ActorMask = "box"
    plate: Plate = "static"
    margin: int = 2
    prefer_empty: bool = False

    def __post_init__(self) -> None:
        check_probability(self, "probability")
        if self.plate not in get_args(Plate):
            raise ConfigError(f"SceneSwap: plate is {self.plate!r}, and must be one of {get_args(Plate)}")
        if self.margin < 0:
            raise ConfigError(f"SceneSwap: margin is {self.margin}, and must be 0 or more pixels")

    def _mix(self, host: int, layers: list[Layer], generator: torch.Generator) -> Layer:
        front = layers[host]
        others = layers[:host] + layers[host + 1 :]
        if self.prefer_empty:
            others = [layer for layer in others if len(layer.labels) == 0] or others
        donor = draw_donor(0, [front, *others], generator, self.probability, with_actors=False)
        actors = front.actors
        if donor is None or not actors.any():
            return front
        scene = empty_scene(donor, self.plate, margin=self.margin)
        return overlay(front, scene, actors, min_visible=0.0)
