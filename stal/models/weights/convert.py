"""Weights of another project's network, as weights of a backbone of this one, and what they mean."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stal.errors import CheckpointError
from stal.models.backbone import SlowFast, SlowOnly
from stal.models.weights.architecture import check_network, describe_network, has_two_pathways, published_alpha
from stal.models.weights.layer import Place, own_name
from stal.models.weights.naming import Naming, recognise
from stal.models.weights.recipe import Channels, Recipe
from stal.models.weights.transformers import Transformer, find_transformer

_NUM_AVA_CLASSES = 80
_NAMED_KEYS = 6  # how many names an error shows
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConvertedWeights:
    """Weights by this project's names.

    Attributes:
        project: whose they were.
        is_detection: of a network that was trained to detect the actions of AVA, not to classify clips.
        backbone: name -> weight; all that the backbone has.
        head: `weight` and `bias` of the last linear layer: a row for each class from number 0, over the features of the
            slow pathway and then of the fast one; empty if the file has no such head.
        kind: the class of the backbone.
        network: its arguments.
        mean, std: of each channel, red first, on the scale 0 to 255: how its clips are to be normalised.
        left_out: the names that are of other parts, and were not converted.
    """

    project: str
    is_detection: bool
    backbone: dict[str, Tensor]
    head: dict[str, Tensor]
    kind: type[nn.Module]
    network: dict[str, Any]
    mean: Channels
    std: Channels
    left_out: tuple[str, ...]


def convert_weights(
    weights: Mapping[str, Tensor], recipe: Recipe | None = None, *, alpha: int | None = None
) -> ConvertedWeights:
    """Return the weights of another project's network as those of a backbone of this one.

    Args:
        weights: by that project's names.
        recipe: what its file says beside them; None if it says nothing.
        alpha: how many times fewer frames the slow pathway sees; None for what the recipe says, or else what the
            published network of this form has.

    Raises:
        CheckpointError: they are of no network that this project builds, or it is not known which alpha they are for.
    """
    transformer = find_transformer(weights)
    if transformer is not None:
        return _convert_transformer(transformer, weights, alpha)
    recipe = recipe or Recipe()
    naming = recognise(weights)
    backbone, head, left_out = _rename(naming, weights)
    network = describe_network(backbone)
    two_pathways = has_two_pathways(backbone)
    if two_pathways:
        network |= {"alpha": _find_alpha(network, alpha, recipe), "slow_sampling": naming.slow_sampling}
    elif alpha is not None:
        raise CheckpointError(f"alpha = {alpha}, but it has one pathway: leave --alpha out")
    if recipe.is_bgr:
        _take_red_first(backbone, two_pathways)
    is_detection = recipe.is_detection
    if is_detection is None:
        is_detection = _is_detector(naming, weights, head)
    if is_detection:
        dilates = recipe.dilates_last
        network["dilate_last"] = naming.dilates_for_detection if dilates is None else dilates
    mean, std = _normalization(naming, weights, recipe)
    kind: type[nn.Module] = SlowFast if two_pathways else SlowOnly
    check_network(kind, network, backbone)
    return ConvertedWeights(
        project=naming.project,
        is_detection=is_detection,
        backbone=backbone,
        head=_order_head(naming, head, network, is_detection),
        kind=kind,
        network=network,
        mean=mean,
        std=std,
        left_out=tuple(left_out),
    )


def _convert_transformer(
    transformer: Transformer, weights: Mapping[str, Tensor], alpha: int | None
) -> ConvertedWeights:
    if alpha is not None:
        raise CheckpointError(f"alpha = {alpha}, but {transformer.kind.__name__} has one pathway: leave --alpha out")
    backbone = transformer.rename(weights)
    check_network(transformer.kind, {}, backbone)
    return ConvertedWeights(
        project="torchvision",
        is_detection=False,
        backbone=backbone,
        head={},
        kind=transformer.kind,
        network={},
        mean=transformer.mean,
        std=transformer.std,
        left_out=tuple(name for name in weights if transformer.is_outside(name)),
    )


def _rename(naming: Naming, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], list[str]]:
    """Return the weights of the backbone, those of the head, and the names of the others."""
    places: dict[Place, Tensor] = {}
    head: dict[str, Tensor] = {}
    left_out: list[str] = []
    unknown: list[str] = []
    for name, weight in weights.items():
        place, of_head = naming.place(name), naming.head_value(name)
        if place is not None:
            if place in places:
                raise CheckpointError(f"it has the weight {name} twice, by different names")
            places[place] = weight
        elif of_head is not None:
            head[of_head] = weight
        else:
            (left_out if naming.is_outside(name) else unknown).append(name)
    if unknown:
        raise CheckpointError(
            f"{len(unknown)} weights of its backbone ({', '.join(unknown[:_NAMED_KEYS])}"
            f"{', ...' if len(unknown) > _NAMED_KEYS else ''}) have no place in a SlowFast or slow network: it has "
            "other layers, such as non-local blocks, which this project does not build"
        )
    two_pathways = any(place.pathway == 1 for place in places)
    counts = {place._replace(value="num_batches_tracked") for place in places if place.value == "running_mean"}
    missing = {place: torch.tensor(0) for place in counts - places.keys()}  # caffe2 does not count
    named = {own_name(place, two_pathways=two_pathways): weight for place, weight in (places | missing).items()}
    return named, head, left_out


def _is_detector(naming: Naming, weights: Mapping[str, Tensor], head: Mapping[str, Tensor]) -> bool:
    if naming.detector is None:
        return "bias" in head and len(head["bias"]) == _NUM_AVA_CLASSES
    return any(re.fullmatch(naming.detector, name) for name in weights)


def _find_alpha(network: Mapping[str, Any], alpha: int | None, recipe: Recipe) -> int:
    if alpha is not None and alpha < 1:
        raise CheckpointError(f"alpha = {alpha}, and must be at least 1")
    if alpha is not None and recipe.alpha is not None and alpha != recipe.alpha:
        raise CheckpointError(f"alpha = {alpha}, but the config in the file says {recipe.alpha}")
    found = alpha or recipe.alpha or published_alpha(network)
    if found is None:
        raise CheckpointError(
            "it does not say how many times fewer frames its slow pathway sees: name it, --alpha 4 for 8x8 (8 frames "
            "of 32), --alpha 8 for 4x16"
        )
    if alpha is None and recipe.alpha is None:
        _logger.info(
            "alpha = %d, as the published R%d with fusion kernels of %d frames has it; --alpha says otherwise",
            found,
            network["depth"],
            network["fusion_kernel"],
        )
    return found


def _normalization(naming: Naming, weights: Mapping[str, Tensor], recipe: Recipe) -> tuple[Channels, Channels]:
    """Return mean and standard deviation, as the file has them, or else as the project's networks have them."""
    known = {"mean": recipe.mean or naming.mean, "std": recipe.std or naming.std}
    for name in known:
        stored = weights.get(f"data_preprocessor.{name}")  # of mmaction2's trainings, but not of what it publishes
        if stored is not None:
            red, green, blue = stored.flatten().tolist()
            known[name] = (red, green, blue)
    return known["mean"], known["std"]


def _take_red_first(backbone: dict[str, Tensor], two_pathways: bool) -> None:
    for pathway in range(1 + two_pathways):
        name = own_name(Place(0, "stem", False, "weight", pathway), two_pathways=two_pathways)
        backbone[name] = backbone[name].flip(1)


def _order_head(
    naming: Naming, head: Mapping[str, Tensor], network: Mapping[str, Any], is_detection: bool
) -> dict[str, Tensor]:
    """Return the head with this project's order of features and of classes; none if it is of another form."""
    if head.keys() != {"weight", "bias"}:
        return {}
    slow = 32 * network["width"]
    fast = slow // network["channel_ratio"] if "channel_ratio" in network else 0
    weight, bias = head["weight"].flatten(1), head["bias"]
    if weight.shape[1] != slow + fast:
        _logger.info("its head takes %d features, not %d + %d: it is left out", weight.shape[1], slow, fast)
        return {}
    if not naming.slow_first and not is_detection:
        weight = torch.cat([weight[:, fast:], weight[:, :fast]], dim=1)
    if is_detection and naming.has_background:
        weight, bias = weight[1:], bias[1:]
    return {"weight": weight.contiguous(), "bias": bias.contiguous()}
