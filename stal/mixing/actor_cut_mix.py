"""ActorCutMix: the actors of one clip of a batch before the blanked scene of another.

Zou, Choi, Wang, Huang, "Learning Representational Invariances for Data-Efficient Action Recognition", 2021,
arXiv 2103.16565, for detectors.
"""

import dataclasses
from dataclasses import dataclass

import torch

from stal.mixing.clip_mixer import ClipMixer
from stal.mixing.drawing import check_probability, draw_donor
from stal.mixing.layers import Layer, overlay
from stal.mixing.plates import ever_actors
from stal.mixing.provenance import ActorMask


@dataclass(frozen=True)
class ActorCutMix(ClipMixer):
    """Put all actors of a clip on another clip of the batch whose own actors are blanked, and trust their labels less.

    With r the part of the clip's voxels that is its actors', the clip's own labels weigh 1 - (r - 1)^4: little if the
    actors are small. So does the paper, which cuts out the boxes of a person detector, and gives the rest of the
    weight, (r - 1)^4, to the class of the other clip, for its scene: its network has one label for a clip. Here a label
    is an actor's. Those of the clip have their weights multiplied by 1 - (r - 1)^4, as the target of their own class,
    and the other clip, of which nobody is left, gives no label. Further differences: the authors' release takes the
    clips of a batch in pairs, and draws once for all of them; and it blanks normalised clips with 0, the mean of the
    data, where this takes the mean of the scene that is left.

    Left as it is are a clip without a voxel of an actor, and one whose batch has no other clip. With `mask="box"`
    actors carry along what else their boxes hold, see `SceneSwap`; with `mask="silhouette"` the blanks keep the
    outlines of those who were there, and so their motion.

    Attributes:
        probability: that a clip is mixed; the paper's is 0.5.
        mask: whether an actor is its box or its silhouette, for those who stay and for those who are blanked.
    """

    probability: float = 0.5
    mask: ActorMask = "box"

    def __post_init__(self) -> None:
        check_probability(self, "probability")

    def _mix(self, host: int, layers: list[Layer], generator: torch.Generator) -> Layer:
        front = layers[host]
        donor = draw_donor(host, layers, generator, self.probability, with_actors=False)
        actors = front.actors
        if donor is None or not actors.any():
            return front
        trust = 1 - (actors.float().mean() - 1) ** 4
        labels = trust.expand(len(front.labels))
        return overlay(front.reweighted(labels), _blanked(donor), actors, min_visible=0.0)


def _blanked(layer: Layer) -> Layer:
    """Return the scene of a layer, with the mean colour of what is no actor's in place of its actors."""
    actors = ever_actors(layer)
    colours = (layer.frames.float() * ~actors).sum(dim=(1, 2, 3)) / (~actors).sum().clamp(min=1)
    if not layer.frames.is_floating_point():
        colours = colours.round()
    blank = colours.to(layer.frames.dtype).view(-1, 1, 1, 1)
    return dataclasses.replace(layer.without_actors(), frames=torch.where(actors, blank, layer.frames))
