"""The slow pathway of SlowFast by itself (Feichtenhofer et al. 2019, arXiv 1812.03982), built by pytorchvideo."""

import warnings

from torch import Tensor, nn

from stal.errors import ConfigError
from stal.models.backbone.interface import OnePathway
from stal.models.backbone.resnet import NormKind, ResNetBackbone, SlowSampling, block_arguments, stage_dilations

with warnings.catch_warnings():  # it scripts a function of its own when imported, which torch has deprecated
    warnings.simplefilter("ignore", FutureWarning)
    from pytorchvideo.models.resnet import create_resnet

_DEPTHS = (50, 101, 152)


class SlowOnly(OnePathway, ResNetBackbone):
    """A ResNet that sees every `alpha`-th frame of a clip, without its classification head.

    The defaults are slow-only R50 8x8 as it is fine-tuned for detection: 8 of 32 frames, and a last stage that dilates
    instead of striding, so that features have a spatial stride of 16. Fine features too are of the frames that it sees.

    Args:
        depth: 50, 101 or 152.
        width: channels of the stem; the network ends with 32 times as many.
        alpha: how many times fewer frames it sees than the clip has.
        norm: see `SlowFast`.
        stem_kernel: (t, h, w) of the stem.
        spatial_strides: stride of each of the four stages, after the stem's 4.
        dilate_last: dilate the last stage by 2.
        slow_sampling: see `SlowFast`.
        checkpoint_stages: see `Backbone`.
        channels_last: see `SlowFast`.
    """

    def __init__(
        self,
        *,
        depth: int = 50,
        width: int = 64,
        alpha: int = 4,
        norm: NormKind = "frozen_batch",
        stem_kernel: tuple[int, int, int] = (1, 7, 7),
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
        if depth not in _DEPTHS:
            raise ConfigError(f"depth={depth} of SlowOnly is none of {', '.join(map(str, _DEPTHS))}")
        network = create_resnet(
            model_depth=depth,
            stem_dim_out=width,
            stem_conv_kernel_size=stem_kernel,
            stage_spatial_h_stride=spatial_strides,
            stage_spatial_w_stride=spatial_strides,
            stage_conv_b_dilation=stage_dilations(dilate_last),
            head=None,
            **block_arguments(norm),
        )
        self._take_blocks(network.blocks)
        self.dilate_last = dilate_last
        self.fine_channels = 4 * width

    @property
    def pathway_ends(self) -> tuple[nn.Module]:
        """The module that gives the features."""
        return (self.blocks[-1],)

    def maps(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slow and the fine features of normalised clips."""
        stem, first_stage, *later_stages = self.blocks
        fine = self._run(first_stage, self._run(stem, self._slow_input(clips)))
        slow = fine
        for stage in later_stages:
            slow = self._run(stage, slow)
        return slow, fine
