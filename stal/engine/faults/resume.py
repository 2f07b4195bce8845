"""What a training may start from."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from stal.engine.faults.checkpoint import check_weights, read_checkpoint
from stal.errors import CheckpointError


def check_start(path: str, model: nn.Module, settings: Mapping[str, Any] | None = None) -> None:
    """Refuse a checkpoint that a training cannot start from, or not go on from as if it had not been interrupted.

    Args:
        path: of the file.
        model: what is trained.
        settings: what must not change, of a training that goes on: what the order of the data depends on, by the names
            that a checkpoint's `meta` has for it, and `training_settings`; None for one that begins with the weights.

    Raises:
        CheckpointError: it is broken, of another model, or of a training with other settings.
    """
    checkpoint = read_checkpoint(path)
    check_weights(model, checkpoint["state_dict"], path)
    if settings is None:
        return
    if "optimizer" not in checkpoint:
        raise CheckpointError(
            f"checkpoint {path} holds weights alone; no training goes on from it, but one may begin with it: load_from"
        )
    meta = checkpoint.get("meta", {})
    earlier = {name: meta[name] for name in settings if name in meta} | meta.get("settings", {})
    differences = [
        f"{name} = {settings.get(name)} instead of {value}"
        for name, value in earlier.items()
        if settings.get(name) != value
    ]
    if "settings" in meta:
        differences += [f"{name} = {value} instead of none" for name, value in settings.items() if name not in earlier]
    if differences:
        raise CheckpointError(
            f"checkpoint {path}: this training has {', '.join(differences)}, and would not go on as it was; "
            "resume with the same settings, or begin a new training with the weights (load_from, in another --work-dir)"
        )
