"""FAME: the moving part of one clip of a batch on the scene of another.

Ding, Li, Yang, Qian, Xu, Chen, Wang, Xiong, "Motion-aware Contrastive Video Representation Learning via
Foreground-background Merging", CVPR 2022, arXiv 2109.15130, for detectors.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Int64, Shaped
from torch import Tensor

from stal.errors import ConfigError
from stal.mixing.clip_mixer import ClipMixer
from stal.mixing.drawing import check_probability, draw_donor
from stal.mixing.layers import Layer, overlay
from stal.mixing.provenance import ActorMask

MOVING, STILL = 0.5, 0.1
"""Parts of the pixels, those that move most and least, whose colours are those of foreground and background."""

NUM_LEVELS = 10
"""Levels of each channel in the histograms of colours."""

BLUR = 0.1
"""Side of the smoothing kernel, as a part of the height of a frame."""


@dataclass(frozen=True)
class FAME(ClipMixer):
    """Put what moves in a clip on another clip of the batch; the annotation plays no part in what that is.

    What moves is found by frame differences and colours, see `foreground_mask`, and is the same pixels on all frames.
    The paper needs no annotation, and learns without labels; here the actors are known. Those of the clip are cut to
    its foreground. Those of the other clip are labelled as far as they are not hidden. Both as in `BatchMix`, frame by
    frame, see `Layer.keep`. The scene of the mixed clip is that of the other clip, though the foreground carries along
    some of its own.

    What is foreground is computed on the device, and may differ between devices by pixels at its border.

    Attributes:
        probability: that a clip is mixed.
        foreground: part of a frame that is foreground; beta in the paper, 0.5 there too.
        mask: whether an actor is its box or its silhouette.
        min_visible: smallest part of an actor's voxels that has to remain for it to be labelled on a frame.
    """

    probability: float = 0.5
    foreground: float = 0.5
    mask: ActorMask = "box"
    min_visible: float = 0.3

    def __post_init__(self) -> None:
        check_probability(self, "probability", "min_visible")
        if not 0 < self.foreground < 1:
            raise ConfigError(f"FAME: foreground is {self.foreground}, and must be between 0 and 1")

    def _mix(self, host: int, layers: list[Layer], generator: torch.Generator) -> Layer:
        front, back = layers[host], draw_donor(host, layers, generator, self.probability, with_actors=False)
        if back is None:
            return front
        covered = foreground_mask(front.frames, self.foreground).expand_as(front.voxel_sources)
        return overlay(front, back, covered, min_visible=self.min_visible)


def foreground_mask(frames: Shaped[Tensor, "C T H W"], share: float) -> Bool[Tensor, "H W"]:
    """Return which pixels of a clip are foreground: those that move, and those with the colours of what moves.

    In the steps of the paper, with `MOVING`, `STILL` and `BLUR`:

    1. A pixel moves as much as its absolute difference from frame to frame, summed over channels and frames, smoothed.
    2. The half of the pixels that moves most gives the distribution of the colours of the foreground, the tenth that
       moves least that of the background. A pixel has its colour on the mean frame.
    3. The probability of the pixel's colour in the foreground, over the sum of both, is smoothed in turn. The `share`
       of the pixels that has most of it is foreground.

    The paper counts colours by hue, saturation and value; this, by the channels, so that clips can be of any range. As
    in the implementation of Li et al. (arXiv 2211.12883), who compare with it, each colour counts once more in the
    background, or all rare ones would be foreground; theirs are also the values of the three.

    Args:
        frames: a clip, of bytes or normalised.
        share: part of the pixels that are foreground, rounded to whole pixels.
    """
    before, after = frames[:, :-1], frames[:, 1:]
    change = torch.maximum(before, after) - torch.minimum(before, after)  # bytes have no negative differences
    motion = _smooth(change.float().sum(dim=(0, 1)))
    colours = _colour_numbers(frames.mean(dim=1, dtype=torch.float32)).flatten()
    by_motion = motion.flatten().argsort(descending=True, stable=True)
    num_pixels, num_colours = len(by_motion), NUM_LEVELS ** len(frames)
    moving = _count(colours[by_motion[: round(MOVING * num_pixels)]], num_colours)
    still = _count(colours[by_motion[num_pixels - round(STILL * num_pixels) :]], num_colours) + 1
    moving, still = moving / moving.sum().clamp(min=1), still / still.sum()
    likeness = _smooth((moving / (moving + still))[colours].view_as(motion))
    by_likeness = likeness.flatten().argsort(descending=True, stable=True)
    mask = torch.zeros(num_pixels, dtype=torch.bool, device=frames.device)
    mask[by_likeness[: round(share * num_pixels)]] = True
    return mask.view_as(motion)


def _smooth(image: Float32[Tensor, "H W"]) -> Float32[Tensor, "H W"]:
    """Return an image smoothed by a Gaussian kernel, with a standard deviation of a third of its side."""
    radius = int(BLUR * len(image) / 2)
    side = 2 * radius + 1
    distance = torch.arange(-radius, radius + 1, device=image.device)
    kernel = torch.exp(-0.5 * (distance / (side / 3)).square())
    kernel = kernel / kernel.sum()
    padded = F.pad(image[None, None], (radius, radius, radius, radius), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[0, 0]


def _colour_numbers(image: Float32[Tensor, "C H W"]) -> Int64[Tensor, "H W"]:
    """Return the number of each pixel's colour, of levels from the lowest value in the image to the highest."""
    low, high = image.amin(), image.amax()
    levels = ((image - low) / (high - low).clamp(min=1e-6) * NUM_LEVELS).long().clamp(max=NUM_LEVELS - 1)
    places = NUM_LEVELS ** torch.arange(len(image), device=image.device)
    return (levels * places.view(-1, 1, 1)).sum(dim=0)


def _count(colours: Int64[Tensor, " P"], num_colours: int) -> Float32[Tensor, " K"]:
    """Return how many pixels have each colour."""
    counts = torch.zeros(num_colours, device=colours.device)
    return counts.index_add(0, colours, torch.ones_like(colours, dtype=torch.float32))
