"""SlowFast (Feichtenhofer et al. 2019, arXiv 1812.03982), built by pytorchvideo, as features for detection."""

import warnings
from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from stal.errors import ConfigError, ShapeError

with warnings.catch_warnings():  # it scripts a function of its own when imported, which torch has deprecated
    warnings.simplefilter("ignore", FutureWarning)
    from pytorchvideo.models.slowfast import create_slowfast

NormKind = Literal["batch", "frozen_batch", "group"]


class PathwayFeatures(NamedTuple):
    """Features of the two pathways at the same spatial stride; the slow one has `alpha` times fewer frames.

    `fine` are the fast pathway's after its first stage: little meaning, but every frame, four times as finely as `fast`
    at its usual stride of 16. They say where exactly an actor ends.
    """

    slow: Float[Tensor, "B C_slow T_slow H W"]
    fast: Float[Tensor, "B C_fast T H W"]
    fine: Float[Tensor, "B C_fine T H_fine W_fine"]


class SlowFast(nn.Module):
    """The two pathways of SlowFast without its classification head.

    The defaults are SlowFast R50 8x8 as it is fine-tuned for detection: 32 frames, alpha 4, beta 1/8, and a last stage
    that dilates instead of striding, so that features have a spatial stride of 16.

    Args:
        depth: 18, 50, 101 or 152; 18 is pytorchvideo's smallest, one bottleneck block a stage.
        width: channels of the slow stem; the slow pathway ends with 32 times as many.
        channel_ratio: how many times fewer channels the fast pathway has (1 / beta of the paper).
        alpha: how many times fewer frames the slow pathway sees.
        norm: `batch`; `frozen_batch`, whose statistics never change (fine-tuning); or `group`, for small batches and
            training from scratch. The gradient penalty needs one of the latter two: batch statistics mix the samples.
        stem_kernels: (t, h, w) of the slow and the fast stem.
        fusion_kernel: frames of the convolution that feeds the fast pathway into the slow one (7 in R50 8x8).
        spatial_strides: stride of each of the four stages, after the stem's 4.
        dilate_last: dilate the last stage by 2.
    """

    def __init__(
        self,
        *,
        depth: int = 50,
        width: int = 64,
        channel_ratio: int = 8,
        alpha: int = 4,
        norm: NormKind = "frozen_batch",
        stem_kernels: tuple[tuple[int, int, int], tuple[int, int, int]] = ((1, 7, 7), (5, 7, 7)),
        fusion_kernel: int = 7,
        spatial_strides: tuple[int, int, int, int] = (1, 2, 2, 1),
        dilate_last: bool = True,
    ) -> None:
        super().__init__()
        if norm not in ("batch", "frozen_batch", "group"):
            raise ConfigError(f"norm={norm!r} is not known: use 'batch', 'frozen_batch' or 'group'")
        if width % channel_ratio:
            raise ConfigError(f"width={width} must be a multiple of channel_ratio={channel_ratio}")
        last_dilation = (1, 2, 2) if dilate_last else (1, 1, 1)
        dilations = ((1, 1, 1), (1, 1, 1), (1, 1, 1), last_dilation)
        network = create_slowfast(
            model_depth=depth,
            slowfast_channel_reduction_ratio=(channel_ratio,),
            slowfast_fusion_conv_kernel_size=(fusion_kernel, 1, 1),
            slowfast_fusion_conv_stride=(alpha, 1, 1),
            norm=_group_norm if norm == "group" else nn.BatchNorm3d,
            activation=partial(nn.ReLU, inplace=False),
            stem_dim_outs=(width, width // channel_ratio),
            stem_conv_kernel_sizes=stem_kernels,
            stage_spatial_strides=(spatial_strides, spatial_strides),
            stage_conv_b_dilations=(dilations, dilations),
            head=None,
            head_pool=None,
        )
        self.blocks = network.blocks[:-1]  # the last block only pools and concatenates the pathways
        self.alpha = alpha
        self.norm = norm
        self.slow_channels = 32 * width
        self.fast_channels = 32 * width // channel_ratio
        self.fine_channels = 4 * width // channel_ratio
        self.fine_stride = 4 * spatial_strides[0]
        self.spatial_stride = 4
        for stride in spatial_strides:
            self.spatial_stride *= stride

    def train(self, mode: bool = True) -> "SlowFast":
        """Set the training mode; frozen normalisation stays in evaluation mode."""
        super().train(mode)
        if self.norm == "frozen_batch":
            for module in self.modules():
                if isinstance(module, nn.BatchNorm3d):
                    module.eval()
        return self

    def slow_frames(self, num_frames: int) -> Int64[Tensor, " T_slow"]:
        """Return which of a clip's frames the slow pathway sees, spread evenly, first and last included."""
        if num_frames % self.alpha:
            raise ShapeError(f"a clip of {num_frames} frames gives no even slow pathway with alpha={self.alpha}")
        return torch.linspace(0, num_frames - 1, num_frames // self.alpha).long()

    @property
    def pathway_ends(self) -> tuple[nn.Module, nn.Module]:
        """The modules that give the slow and the fast features, in this order."""
        slow, fast = self.blocks[-1].multipathway_blocks
        return slow, fast

    def forward(
        self, clips: Float[Tensor, "B C T H W"], slow_clips: Float[Tensor, "B C T H W"] | None = None
    ) -> PathwayFeatures:
        """Return the features of normalised clips.

        Both pathways are cut from `clips` here, so a gradient with respect to `clips` adds up both at the right frames.

        Args:
            clips: normalised.
            slow_clips: what the slow pathway sees in their place, to tell the pathways apart; None for the same.
        """
        slow_frames = self.slow_frames(clips.shape[2]).to(clips.device)
        # pytorchvideo's blocks overwrite the list that they are given; this one is nobody else's.
        pathways = [(clips if slow_clips is None else slow_clips).index_select(2, slow_frames), clips]
        stem, first_stage, *later_stages = self.blocks
        pathways = first_stage(stem(pathways))
        fine = pathways[1]
        for stage in later_stages:
            pathways = stage(pathways)
        slow, fast = pathways
        return PathwayFeatures(slow, fast, fine)


def _group_norm(num_features: int, eps: float = 1e-5, momentum: float | None = None) -> nn.GroupNorm:
    """Return a GroupNorm (Wu & He 2018) of at most 8 groups; it takes BatchNorm's arguments and has no momentum."""
    groups = next(groups for groups in (8, 4, 2, 1) if num_features % groups == 0)
    return nn.GroupNorm(groups, num_features, eps=eps)
