"""MViTv2 (Li et al. 2022, arXiv 2112.01526), built by torchvision, as features for detection."""

from itertools import accumulate

from torch import Tensor
from torchvision.models.video import mvit

from stal.models.backbone.transformer import TransformerBackbone, fine_maps

_PUBLISHED_SIZE, _PUBLISHED_FRAMES = (224, 224), 16
_KEY_STRIDES = (8, 4, 2, 1)  # by which each stage shrinks its keys and values
_KERNEL = [3, 3, 3]


class MViT(TransformerBackbone):
    """A multiscale vision transformer without its classification head.

    The defaults are torchvision's `mvit_v2_s`; weights have its names, but for `norm`, which is `norm_last`. Published
    ones are of clips of 16 frames and 224 x 224 pixels, every fourth frame of a video, normalised as `ClipPreprocessor`
    does by default. For clips of any other size relative positions are interpolated; frames must be even in number.

    Args:
        width: channels of the first stage, and of every attention head.
        depths: blocks of each of the four stages.
        checkpoint_stages: see `Backbone`.
    """

    def __init__(
        self, *, width: int = 96, depths: tuple[int, int, int, int] = (1, 2, 11, 2), checkpoint_stages: bool = False
    ) -> None:
        super().__init__(width=width, checkpoint_stages=checkpoint_stages)
        network = mvit.MViT(
            spatial_size=_PUBLISHED_SIZE,
            temporal_size=_PUBLISHED_FRAMES,
            block_setting=_block_settings(width, depths),
            residual_pool=True,
            residual_with_cls_embed=False,
            rel_pos_embed=True,
            proj_after_attn=True,
            stochastic_depth_prob=0.0,
            num_classes=1,
        )
        self.conv_proj = network.conv_proj
        self.pos_encoding = network.pos_encoding
        self.blocks = network.blocks
        self.norm_last = network.norm
        self._stage_ends = tuple(accumulate(depths))

    def maps(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slow and the fine features of normalised clips."""
        self.slow_frames(clips.shape[2])  # which refuses what cannot be cut into patches
        patches = self.conv_proj(clips)
        size = tuple(patches.shape[2:])
        tokens = self.pos_encoding(patches.flatten(2).transpose(1, 2))  # which adds the class token, at the front
        stages = []
        for number, block in enumerate(self.blocks, start=1):
            tokens, size = self._run(block, tokens, size)
            if number in self._stage_ends:
                stages.append((tokens, size))
        (fine, of_fine), _, (finer, of_finer), (coarser, of_coarser) = stages
        slow = self.join(_in_place(finer, of_finer), _in_place(self.norm_last(coarser), of_coarser))
        return slow, fine_maps(_in_place(fine, of_fine))


def _in_place(tokens: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return tokens (B, 1 + N, C) without the class token at their places in time, rows and columns."""
    return tokens[:, 1:].unflatten(1, size)


def _block_settings(width: int, depths: tuple[int, int, int, int]) -> list[mvit.MSBlockConfig]:
    """Return the blocks: the first of every stage but the first halves the resolution and doubles the channels."""
    settings = []
    channels = width
    for stage, depth in enumerate(depths):
        for number in range(depth):
            stride = 2 if stage and not number else 1
            settings.append(
                mvit.MSBlockConfig(
                    num_heads=2**stage,
                    input_channels=channels,
                    output_channels=width * 2**stage,
                    kernel_q=_KERNEL,
                    kernel_kv=_KERNEL,
                    stride_q=[1, stride, stride],
                    stride_kv=[1, _KEY_STRIDES[stage], _KEY_STRIDES[stage]],
                )
            )
            channels = width * 2**stage
    return settings
