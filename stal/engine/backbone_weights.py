"""The weights that a training's backbone begins with, from a file that tools/convert_weights.py wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stal.engine.faults.checkpoint import read_tensors
from stal.engine.model import DetectionModel
from stal.errors import CheckpointError
from stal.models.backbone import Backbone
from stal.models.weights.differences import describe_differences
from stal.models.weights.published import say_where_to_get

BACKBONE_META = "backbone_weights"
"""What a file's `meta` has of converted weights."""

# What weights mean by a network and their shapes do not tell, by the names of the backbone's arguments.
_MEANINGS = ("alpha", "linear_fusion", "slow_sampling", "dilate_last")


def load_backbone_weights(model: DetectionModel, path: str | Path) -> str:
    """Load converted weights into the backbone of `model`, and return a line that says so; the rest stays as it is.

    Args:
        model: the network, and how its clips are normalised.
        path: of the file.

    Raises:
        CheckpointError: the file is not there, broken, not a converted one, or its weights are of another network or
            for clips that are normalised in another way; `model` is as it was.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(f"backbone_weights: there is no file {path}; {say_where_to_get(path)}")
    meta, weights = _read(path)
    backbone = model.detector.backbone
    problems = [*_wrong_arguments(backbone, meta), *_wrong_normalization(model, meta)]
    differences = describe_differences(backbone.state_dict(), weights)
    if differences:
        problems.append(differences)
    if problems:
        arguments = ", ".join(f"{name}={value}" for name, value in meta["network"].items())
        raise CheckpointError(
            f"backbone_weights: {path} does not fit this config: {'; '.join(problems)}. It holds the weights of "
            f"{meta['backbone']}({arguments})"
        )
    backbone.load_state_dict(weights)
    return f"the backbone begins with all {len(weights)} weights of {path} ({meta['project']})"


def _read(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    """Return what converted weights mean, and the weights."""
    try:
        content = read_tensors(path)
    except CheckpointError as error:
        raise CheckpointError(f"backbone_weights: {error}; name a file that tools/convert_weights.py wrote") from error
    of_file = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(of_file, Mapping) or BACKBONE_META not in of_file:
        raise CheckpointError(
            f"backbone_weights: {path} was not written by tools/convert_weights.py: convert it first or, if it is a "
            "checkpoint of a training, name it in load_from"
        )
    return of_file[BACKBONE_META], content["state_dict"]


def _wrong_arguments(backbone: Backbone, meta: Mapping[str, Any]) -> list[str]:
    """Return which settings of the backbone change what the weights mean, with what they have to be."""
    if type(backbone).__name__ != meta["backbone"]:
        return [f"model.detector.backbone is a {type(backbone).__name__}, and has to be a {meta['backbone']}"]
    needed = {name: meta["network"][name] for name in _MEANINGS if name in meta["network"]}
    if backbone.norm == "group":
        needed["norm"] = "frozen_batch"
    return [
        f"model.detector.backbone.{name} is {getattr(backbone, name)!r}, and has to be {value!r}"
        for name, value in needed.items()
        if getattr(backbone, name) != value
    ]


def _wrong_normalization(model: DetectionModel, meta: Mapping[str, Any]) -> list[str]:
    """Return which settings of the preprocessor are others than those that the weights were trained with."""
    wrong = []
    for name in ("mean", "std"):
        own: Tensor = getattr(model.data_preprocessor, name).flatten().cpu()
        trained = torch.tensor(meta[name])
        if not torch.allclose(own, trained):
            wrong.append(
                f"model.data_preprocessor.{name} is {own.tolist()}, and has to be {[round(v, 3) for v in meta[name]]}"
            )
    return wrong
