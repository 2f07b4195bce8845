"""The weights of torchvision's video transformers: its names, but for the last normalisation."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from stal.models.backbone import MViT, Swin3d
from stal.models.weights.recipe import Channels

_LAST_NORM, _OWN_LAST_NORM, _HEAD = "norm.", "norm_last.", "head."


@dataclass(frozen=True)
class Transformer:
    """A transformer of torchvision.

    Attributes:
        kind: the backbone that is built of it.
        mark: name of a weight that it alone has.
        mean, std: of each channel, red first, on the scale 0 to 255.
    """

    kind: type[nn.Module]
    mark: str
    mean: Channels
    std: Channels

    def rename(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of the backbone by this project's names."""
        return {
            name.replace(_LAST_NORM, _OWN_LAST_NORM, 1) if name.startswith(_LAST_NORM) else name: weight
            for name, weight in weights.items()
            if not self.is_outside(name)
        }

    def is_outside(self, name: str) -> bool:
        """Say whether a name is of the head."""
        return name.startswith(_HEAD)


_TRANSFORMERS = (
    Transformer(MViT, "conv_proj.weight", mean=(114.75, 114.75, 114.75), std=(57.375, 57.375, 57.375)),
    Transformer(Swin3d, "patch_embed.proj.weight", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
)


def find_transformer(weights: Mapping[str, Tensor]) -> Transformer | None:
    """Return the transformer that weights by torchvision's names are of, or None if they are of none."""
    return next((transformer for transformer in _TRANSFORMERS if transformer.mark in weights), None)
