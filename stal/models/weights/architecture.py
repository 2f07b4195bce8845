"""Which network weights belong to, seen from their names and shapes."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stal.errors import CheckpointError
from stal.models.weights.differences import describe_differences
from stal.models.weights.layer import Place, own_name

_DEPTHS = {(1, 1, 1, 1): 18, (3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}  # blocks of the stages
# alpha is no shape. By depth and fusion kernel, these are of the published networks: R50 4x16, R50 8x8, and R101 8x8 of
# pytorchvideo and of mmaction2.
_PUBLISHED_ALPHAS = {(50, 5): 8, (50, 7): 4, (101, 5): 4, (101, 7): 4}


def describe_network(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the arguments of the backbone that weights are of, as far as their shapes tell them.

    Args:
        weights: by this project's names.

    Raises:
        CheckpointError: there is no such backbone.
    """
    two_pathways = has_two_pathways(weights)
    slow_stem = _shape(weights, Place(0, "stem", False, "weight"), two_pathways)
    network: dict[str, Any] = {"depth": _depth(weights), "width": slow_stem[0]}
    if not two_pathways:
        return network | {"stem_kernel": tuple(slow_stem[2:])}
    fast_stem = _shape(weights, Place(0, "stem", False, "weight", pathway=1), two_pathways)
    fusion = _shape(weights, Place(0, "fusion", False, "weight"), two_pathways)
    return network | {
        "channel_ratio": slow_stem[0] // fast_stem[0],
        "stem_kernels": (tuple(slow_stem[2:]), tuple(fast_stem[2:])),
        "fusion_kernel": fusion[2],
        "linear_fusion": own_name(Place(0, "fusion", True, "weight"), two_pathways=True) not in weights,
    }


def has_two_pathways(weights: Mapping[str, Tensor]) -> bool:
    """Say whether weights, by this project's names, are of SlowFast, and not of a slow network alone."""
    return any("multipathway" in name for name in weights)


def published_alpha(network: Mapping[str, Any]) -> int | None:
    """Return the alpha of the published network of this description, or None if there is none."""
    return _PUBLISHED_ALPHAS.get((network["depth"], network["fusion_kernel"]))


def check_network(backbone: type[nn.Module], network: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Raise a CheckpointError unless `backbone(**network)` has exactly these weights."""
    with torch.device("meta"):
        own = backbone(**network).state_dict()
    differences = describe_differences(own, weights)
    if differences:
        arguments = ", ".join(f"{name}={value}" for name, value in network.items())
        raise CheckpointError(
            f"it is near to {backbone.__name__}({arguments}), but no network that this project builds: {differences}"
        )


def _depth(weights: Mapping[str, Tensor]) -> int:
    of_block = re.compile(r"blocks\.(\d)\..*?res_blocks\.(\d+)\.")
    found = {match.groups() for match in map(of_block.match, weights) if match}
    blocks = tuple(count for _, count in sorted(Counter(stage for stage, _ in found).items()))
    if blocks not in _DEPTHS:
        known = ", ".join(f"{depth} ({', '.join(map(str, of_depth))})" for of_depth, depth in _DEPTHS.items())
        raise CheckpointError(f"its stages have {blocks} residual blocks; the depths that are built are {known}")
    return _DEPTHS[blocks]


def _shape(weights: Mapping[str, Tensor], place: Place, two_pathways: bool) -> torch.Size:
    name = own_name(place, two_pathways=two_pathways)
    if name not in weights or weights[name].ndim != 5:
        raise CheckpointError(f"it has no weight {name} of a 3D convolution")
    return weights[name].shape
