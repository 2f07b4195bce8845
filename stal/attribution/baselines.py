"""What a clip is compared with: one that shows next to nothing."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from stal.errors import ConfigError

Baseline = Literal["blur", "mean"]


def without_content(clip: Float[Tensor, "C T H W"], baseline: Baseline) -> Float[Tensor, "C T H W"]:
    """Return a clip that shows next to nothing of a normalised clip.

    - `blur`: each frame, so blurred that no form is left (Sturmfels et al. 2020, doi 10.23915/distill.00022), by a
      Gaussian with a deviation of an eighth of the shorter side.
    - `mean`: the mean colour, the normalised clip's zero. A network with GroupNorm enlarges what little contrast a clip
      has, so that its score leaps where the clip becomes flat; integrated gradients step over the leap, and do not add
      up. With `blur` they do.

    Raises:
        ConfigError: there is no such baseline.
    """
    if baseline not in get_args(Baseline):
        raise ConfigError(f"baseline {baseline!r} is none of {', '.join(get_args(Baseline))}")
    if baseline == "mean":
        return torch.zeros_like(clip)
    deviation = max(min(clip.shape[-2:]) / 8, 0.5)
    return gaussian_blur(clip, 2 * int(2 * deviation) + 1, deviation)
