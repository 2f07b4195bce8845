"""Video Swin Transformer (Liu et al. 2022, arXiv 2106.13230), built by torchvision, as features for detection."""

from torch import Tensor, nn
from torchvision.models.video import SwinTransformer3d

from stal.errors import ShapeError
from stal.models.backbone.transformer import TransformerBackbone, fine_maps

_LAST_STRIDE = 32


class Swin3d(TransformerBackbone):
    """A transformer with attention in shifted windows, without its classification head.

    The defaults are torchvision's `swin3d_t`; weights have its names, but for `norm`, which is `norm_last`. Published
    ones are of clips of 32 frames, every second frame of a video, with ImageNet's normalisation:
    `ClipPreprocessor(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))`.

    Clips are of any size that fills a window at every stage, for `swin3d_t` of at least 193 x 193 pixels; frames must
    be even in number.

    Args:
        width: channels of the first stage.
        depths: blocks of each of the four stages.
        num_heads: attention heads of each of the four stages.
        window: features (t, h, w) of a window of attention.
        checkpoint_stages: see `Backbone`.
    """

    def __init__(
        self,
        *,
        width: int = 96,
        depths: tuple[int, int, int, int] = (2, 2, 6, 2),
        num_heads: tuple[int, int, int, int] = (3, 6, 12, 24),
        window: tuple[int, int, int] = (8, 7, 7),
        checkpoint_stages: bool = False,
    ) -> None:
        super().__init__(width=width, checkpoint_stages=checkpoint_stages)
        network = SwinTransformer3d(
            patch_size=[2, 4, 4],
            embed_dim=width,
            depths=list(depths),
            num_heads=list(num_heads),
            window_size=list(window),
            stochastic_depth_prob=0.0,
            num_classes=1,
        )
        self.patch_embed = network.patch_embed
        self.features = network.features
        self.norm_last = network.norm
        self.window = window

    def maps(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slow and the fine features of normalised clips."""
        self._check_size(*clips.shape[2:])
        tokens = self.patch_embed(clips)
        outputs = []
        for layer in self.features:  # a stage, or what merges four of its features into one
            for block in layer if isinstance(layer, nn.Sequential) else [layer]:
                tokens = self._run(block, tokens)
            outputs.append(tokens)
        fine, _, _, _, finer, _, coarser = outputs
        return self.join(finer, self.norm_last(coarser)), fine_maps(fine)

    def _check_size(self, num_frames: int, height: int, width: int) -> None:
        """Raise a ShapeError unless the network gives a clip of this size meaningful features.

        A window that is not filled down and across would be given relative positions of other places, without a word;
        one that is not filled in time gets the right ones.
        """
        self.slow_frames(num_frames)
        least = [_LAST_STRIDE * (side - 1) + 1 for side in self.window[1:]]
        if height < least[0] or width < least[1]:
            raise ShapeError(
                f"a clip of {height} x {width} pixels does not fill a window of {self.window[1]} x {self.window[2]} "
                f"features in the last stage of Swin3d: use clips of at least {least[0]} x {least[1]}"
            )
