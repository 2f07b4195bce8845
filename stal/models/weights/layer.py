"""Where a weight stands in a SlowFast network, whatever a file calls it."""

from typing import Literal, NamedTuple

Part = Literal["stem", "a", "b", "c", "shortcut", "fusion"]


class Place(NamedTuple):
    """Where a weight stands.

    Attributes:
        stage: 0 for the stem, 1 to 4 for the residual stages, which the paper calls res2 to res5.
        part: the stem; `a`, `b`, `c` and the shortcut of a residual block; the fusion, of fast pathway into slow.
        is_norm: of the normalisation after the convolution, not of the convolution.
        value: `weight`, `bias`, `running_mean`, `running_var` or `num_batches_tracked`.
        pathway: 0 for the slow one, 1 for the fast one.
        block: the residual block of the stage.
    """

    stage: int
    part: Part
    is_norm: bool
    value: str
    pathway: int = 0
    block: int = 0


def own_name(place: Place, *, two_pathways: bool) -> str:
    """Return what the backbones of this project call a weight; these are pytorchvideo's names.

    Args:
        place: where it stands.
        two_pathways: False for a network that is the slow pathway alone.
    """
    stage, kind = f"blocks.{place.stage}", "norm" if place.is_norm else "conv"
    if place.part == "fusion":
        return f"{stage}.multipathway_fusion.{'norm' if place.is_norm else 'conv_fast_to_slow'}.{place.value}"
    if two_pathways:
        stage += f".multipathway_blocks.{place.pathway}"
    if place.part == "stem":
        return f"{stage}.{kind}.{place.value}"
    layer = f"branch1_{kind}" if place.part == "shortcut" else f"branch2.{kind}_{place.part}"
    return f"{stage}.res_blocks.{place.block}.{layer}.{place.value}"
