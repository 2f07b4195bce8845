"""StillMix: a single frame of another clip of a batch shines through all frames of a clip.

Li, Liu, Zhang, Li, "Mitigating and Evaluating Static Bias of Action Representations in the Background and the
Foreground", ICCV 2023, arXiv 2211.12883, for detectors.
"""

import dataclasses
from dataclasses import dataclass

import torch

from stal.mixing.blending import blend
from stal.mixing.clip_mixer import ClipMixer
from stal.mixing.drawing import check_positive, check_probability, draw_beta, draw_donor
from stal.mixing.layers import Layer
from stal.mixing.provenance import ActorMask


@dataclass(frozen=True)
class StillMix(ClipMixer):
    """Mix a still into a clip: lambda x + (1 - lambda) * (one frame of another clip), lambda ~ Beta(alpha, alpha).

    What the still shows does not move, so that it says nothing of the action: labels, boxes, sources and scene stay the
    clip's, and every voxel counts as the clip's own. Also the paper keeps the labels.

    The paper takes its stills from a bank of those frames from which a 2D network, trained for it, recognises the
    action best. Here a still is a random frame of a random other clip of the batch, as in a variant in the authors'
    release. Actors of the other clip may be in it, and are not labelled: someone who is half transparent and stands
    still is a part of the foreground that the paper wants not to be trusted. Another difference: lambda is drawn for
    each clip, and in that release once for a batch.

    Attributes:
        probability: that a clip is mixed; the paper's is 0.75.
        alpha: of the distribution of lambda; with the paper's 200 it is 0.5 with a standard deviation of 0.025.
        mask: whether an actor is its box or its silhouette.
    """

    probability: float = 0.75
    alpha: float = 200.0
    mask: ActorMask = "box"

    def __post_init__(self) -> None:
        check_probability(self, "probability")
        check_positive(self, "alpha")

    def _mix(self, host: int, layers: list[Layer], generator: torch.Generator) -> Layer:
        clip, donor = layers[host], draw_donor(host, layers, generator, self.probability, with_actors=False)
        if donor is None:
            return clip
        frame = int(torch.randint(donor.frames.shape[1], (), generator=generator))
        still = donor.frames[:, frame : frame + 1].expand_as(clip.frames)
        share = torch.full((1, 1, 1), draw_beta(self.alpha, generator), device=clip.frames.device)
        return dataclasses.replace(clip, frames=blend(clip.frames, still, share))
