"""What the video transformers have in common: features of four stages, at strides of 4, 8, 16 and 32 pixels."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from stal.errors import ShapeError
from stal.models.backbone.interface import OnePathway

_PATCH_FRAMES = 2


class TransformerBackbone(OnePathway):
    """A transformer of torchvision whose four stages double the channels and halve the resolution.

    Its slow features are those of the last two stages side by side, at the stride of the third: published weights stay
    what they are, as no stage changes its stride. Its attention is written out in torchvision, as products and a
    softmax, and so has derivatives of every order; fused kernels have none of second order. There is no stochastic
    depth: a penalty may score a clip more than once, and must see the same network every time.

    Args:
        width: channels of the first stage.
        checkpoint_stages: see `Backbone`.
    """

    norm = "layer"
    spatial_stride = 16
    fine_stride = 4

    def __init__(self, *, width: int, checkpoint_stages: bool) -> None:
        super().__init__()
        self.checkpoint_stages = checkpoint_stages
        self.slow_channels = 4 * width + 8 * width
        self.fine_channels = width
        self.join = JoinStages()

    @property
    def pathway_ends(self) -> tuple[nn.Module]:
        """The module that gives the features."""
        return (self.join,)

    def slow_frames(self, num_frames: int) -> Int64[Tensor, " T_slow"]:
        """Return the first frame of each patch."""
        if num_frames % _PATCH_FRAMES:
            raise ShapeError(
                f"a clip of {num_frames} frames cannot be cut into patches of {_PATCH_FRAMES}: use an even number"
            )
        return torch.arange(0, num_frames, _PATCH_FRAMES)


class JoinStages(nn.Module):
    """Put the features of two stages side by side, at the resolution of the finer one.

    The finer ones are normalised, as the network does with the coarser ones alone, but without weights of their own,
    which published files would not have.
    """

    def forward(
        self, finer: Float[Tensor, "B T H W C"], coarser: Float[Tensor, "B T h w D"]
    ) -> Float[Tensor, "B E T H W"]:
        """Return the features of both, E = C + D; the coarser ones are repeated, and cut where H or W is odd."""
        _, _, height, width, _ = finer.shape
        coarser = coarser.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)[:, :, :height, :width]
        return torch.cat([_normalised(finer), coarser], dim=-1).permute(0, 4, 1, 2, 3)


def fine_maps(tokens: Float[Tensor, "B T H W C"]) -> Float[Tensor, "B C T H W"]:
    """Return the features of the first stage as fine features."""
    return _normalised(tokens).permute(0, 4, 1, 2, 3)


def _normalised(tokens: Tensor) -> Tensor:
    return F.layer_norm(tokens, tokens.shape[-1:])
