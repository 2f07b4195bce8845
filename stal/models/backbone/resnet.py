"""What SlowFast and its slow pathway by itself have in common."""

from functools import partial
from math import prod
from typing import Any, Literal, get_args

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from stal.errors import ConfigError, ShapeError
from stal.models.backbone.interface import Backbone

NormKind = Literal["batch", "frozen_batch", "group"]
SlowSampling = Literal["spread", "strided"]


class ResNetBackbone(Backbone):
    """A 3D ResNet that is made of pytorchvideo's blocks and has a slow pathway.

    Args:
        width: channels of the slow stem; the slow pathway ends with 32 times as many.
        alpha: how many times fewer frames the slow pathway sees.
        norm: see `SlowFast`.
        spatial_strides: stride of each of the four stages, after the stem's 4.
        slow_sampling: see `SlowFast`.
        checkpoint_stages: see `Backbone`.
        channels_last: see `SlowFast`.
    """

    blocks: nn.ModuleList

    def __init__(
        self,
        *,
        width: int,
        alpha: int,
        norm: NormKind,
        spatial_strides: tuple[int, int, int, int],
        slow_sampling: SlowSampling,
        checkpoint_stages: bool,
        channels_last: bool,
    ) -> None:
        super().__init__()
        if norm not in get_args(NormKind):
            raise ConfigError(f"norm={norm!r} is not known: use 'batch', 'frozen_batch' or 'group'")
        if slow_sampling not in get_args(SlowSampling):
            raise ConfigError(f"slow_sampling={slow_sampling!r} is not known: use 'spread' or 'strided'")
        if checkpoint_stages and norm == "batch":
            raise ConfigError(
                "checkpoint_stages=True goes with norm='frozen_batch' or 'group': a stage that runs again would count "
                "its clips twice in the running statistics of norm='batch'"
            )
        self.alpha = alpha
        self.norm = norm
        self.slow_sampling = slow_sampling
        self.checkpoint_stages = checkpoint_stages
        self.slow_channels = 32 * width
        self.fine_stride = 4 * spatial_strides[0]
        self.spatial_stride = 4 * prod(spatial_strides)
        self._memory_format = torch.channels_last_3d if channels_last else torch.contiguous_format

    def train(self, mode: bool = True) -> "ResNetBackbone":
        """Set the training mode; frozen normalisation stays in evaluation mode."""
        super().train(mode)
        if self.norm == "frozen_batch":
            for module in self.modules():
                if isinstance(module, nn.BatchNorm3d):
                    module.eval()
        return self

    def slow_frames(self, num_frames: int) -> Int64[Tensor, " T_slow"]:
        """Return which of a clip's frames the slow pathway sees."""
        if num_frames % self.alpha:
            raise ShapeError(f"a clip of {num_frames} frames gives no even slow pathway with alpha={self.alpha}")
        if self.slow_sampling == "strided":
            return torch.arange(0, num_frames, self.alpha)
        return torch.linspace(0, num_frames - 1, num_frames // self.alpha).long()

    def _slow_input(self, clips: Tensor) -> Tensor:
        """Return the frames of clips that the slow pathway sees."""
        return self._laid_out(clips.index_select(2, self.slow_frames(clips.shape[2]).to(clips.device)))

    def _laid_out(self, clips: Tensor) -> Tensor:
        return clips.contiguous(memory_format=self._memory_format)

    def _take_blocks(self, blocks: nn.ModuleList) -> None:
        """Take the network's blocks: the stem, and the four stages."""
        for module in blocks.modules():
            if isinstance(module, nn.Conv3d):  # NumPy's numbers, which torch.compile would take for data
                module.stride = tuple(int(step) for step in module.stride)
        self.blocks = blocks.to(memory_format=self._memory_format)


def block_arguments(norm: NormKind) -> dict[str, Any]:
    """Return what pytorchvideo builds its blocks with: the normalisation, and an activation that overwrites nothing."""
    return {
        "norm": _group_norm if norm == "group" else nn.BatchNorm3d,
        "activation": partial(nn.ReLU, inplace=False),
    }


def stage_dilations(dilate_last: bool) -> tuple[tuple[int, int, int], ...]:
    """Return the dilations of the four stages."""
    return ((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 2, 2) if dilate_last else (1, 1, 1))


def _group_norm(num_features: int, eps: float = 1e-5, momentum: float | None = None) -> nn.GroupNorm:
    """Return a GroupNorm (Wu & He 2018) of at most 8 groups; it takes BatchNorm's arguments and has no momentum."""
    groups = next(groups for groups in (8, 4, 2, 1) if num_features % groups == 0)
    return nn.GroupNorm(groups, num_features, eps=eps)
