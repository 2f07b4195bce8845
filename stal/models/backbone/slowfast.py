"""SlowFast (Feichtenhofer et al. 2019, arXiv 1812.03982), built by pytorchvideo, as features for detection."""

import warnings
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from stal.errors import ConfigError
from stal.models.backbone.interface import PathwayFeatures
from stal.models.backbone.resnet import NormKind, ResNetBackbone, SlowSampling, block_arguments, stage_dilations

with warnings.catch_warnings():  # it scripts a function of its own when imported, which torch has deprecated
    warnings.simplefilter("ignore", FutureWarning)
    from pytorchvideo.models.slowfast import FastToSlowFusionBuilder, create_slowfast

_FUSION_RATIO = 2  # the fusion doubles the fast pathway's channels


class SlowFast(ResNetBackbone):
    """The two pathways of SlowFast without its classification head.

    The defaults are SlowFast R50 8x8 as it is fine-tuned for detection: 32 frames, alpha 4, beta 1/8, and a last stage
    that dilates instead of striding, so that features have a spatial stride of 16. R50 4x16 has alpha 8 and a fusion
    kernel of 5 frames, R101 8x8 a depth of 101 and a fusion kernel of 5.

    Args:
        depth: 18, 50, 101 or 152; 18 is pytorchvideo's smallest, one bottleneck block a stage.
        width: channels of the slow stem; the slow pathway ends with 32 times as many.
        channel_ratio: how many times fewer channels the fast pathway has (1 / beta of the paper).
        alpha: how many times fewer frames the slow pathway sees.
        norm: `batch`; `frozen_batch`, whose statistics never change (fine-tuning); or `group`, for small batches and
            training from scratch. The gradient penalty needs one of the latter two: batch statistics mix the samples.
        stem_kernels: (t, h, w) of the slow and the fast stem.
        fusion_kernel: frames of the convolution that feeds the fast pathway into the slow one (7 in R50 8x8).
        linear_fusion: that convolution stands alone, without normalisation and activation, as in mmaction2.
        spatial_strides: stride of each of the four stages, after the stem's 4.
        dilate_last: dilate the last stage by 2.
        slow_sampling: which frames the slow pathway sees: `spread` evenly, the first and the last included, as in
            PySlowFast and pytorchvideo; or `strided`, the first of every `alpha`, as in mmaction2.
        checkpoint_stages: see `Backbone`.
        channels_last: lay weights and features out in memory with the channels last, which may be faster.
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
        linear_fusion: bool = False,
        spatial_strides: tuple[int, int, int, int] = (1, 2, 2, 1),
        dilate_last: bool = True,
        slow_sampling: SlowSampling = "spread",
        checkpoint_stages: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__(
            width=width,
            alpha=alpha,
            norm=norm,
            spatial_strides=spatial_strides,
            slow_sampling=slow_sampling,
            checkpoint_stages=checkpoint_stages,
            channels_last=channels_last,
        )
        if width % channel_ratio:
            raise ConfigError(f"width={width} must be a multiple of channel_ratio={channel_ratio}")
        of_blocks = block_arguments(norm)
        fusion = FastToSlowFusionBuilder(
            slowfast_channel_reduction_ratio=channel_ratio,
            conv_fusion_channel_ratio=_FUSION_RATIO,
            conv_kernel_size=(fusion_kernel, 1, 1),
            conv_stride=(alpha, 1, 1),
            max_stage_idx=3,  # the last stage feeds nothing
            **({"norm": None, "activation": None} if linear_fusion else of_blocks),
        )
        network = create_slowfast(
            model_depth=depth,
            slowfast_channel_reduction_ratio=(channel_ratio,),
            slowfast_conv_channel_fusion_ratio=_FUSION_RATIO,
            fusion_builder=fusion.create_module,
            stem_dim_outs=(width, width // channel_ratio),
            stem_conv_kernel_sizes=stem_kernels,
            stage_spatial_strides=(spatial_strides, spatial_strides),
            stage_conv_b_dilations=(stage_dilations(dilate_last),) * 2,
            head=None,
            head_pool=None,
            **of_blocks,
        )
        self._take_blocks(network.blocks[:-1])  # the last block only pools and concatenates the pathways
        self.linear_fusion = linear_fusion
        self.dilate_last = dilate_last
        self.fast_channels = 32 * width // channel_ratio
        self.fine_channels = 4 * width // channel_ratio

    @property
    def pathway_ends(self) -> tuple[nn.Module, nn.Module]:
        """The modules that give the slow and the fast features, in this order."""
        slow, fast = cast(nn.ModuleList, self.blocks[-1].multipathway_blocks)
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
        slow = self._slow_input(clips if slow_clips is None else slow_clips)
        fast = self._laid_out(clips)
        stem, first_stage, *later_stages = self.blocks
        slow, fast = self._run(stem, slow, fast, by=_run_block)
        slow, fast = self._run(first_stage, slow, fast, by=_run_block)
        fine = fast
        for stage in later_stages:
            slow, fast = self._run(stage, slow, fast, by=_run_block)
        return PathwayFeatures(slow, fast, fine)


def _run_block(block: nn.Module, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
    """Run a block of both pathways; pytorchvideo's overwrite the list that they are given, and this one is its own."""
    slow, fast = block([slow, fast])
    return slow, fast
