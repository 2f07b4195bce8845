"""What a training may start from."""

from collections.abc import Mapping

from torch import nn

from stal.engine.faults.checkpoint import check_weights, read_checkpoint
from stal.errors import CheckpointError


def check_start(path: str, model: nn.Module, order: Mapping[str, int] | None = None) -> None:
    """Refuse a checkpoint that a training cannot start from, or not go on from as if it had not been interrupted.

    Args:
        path: of the file.
        model: what is trained.
        order: what the order of the data depends on, by the names that a checkpoint's `meta` has for it, of a training
            that goes on; None for one that only begins with the weights.

    Raises:
        CheckpointError: it is broken, of another model, or of a training with another order of the data.
    """
    checkpoint = read_checkpoint(path)
    check_weights(model, checkpoint["state_dict"], path)
    if order is None:
        return
    if "optimizer" not in checkpoint:
        raise CheckpointError(
            f"checkpoint {path} holds weights alone; no training goes on from it, but one may begin with it: load_from"
        )
    earlier = checkpoint.get("meta", {})
    differences = [
        f"{name} = {value} instead of {earlier[name]}"
        for name, value in order.items()
        if earlier.get(name) not in (value, None)
    ]
    if differences:
        raise CheckpointError(
            f"checkpoint {path}: this training has {', '.join(differences)}, and would take its data in another order; "
            "resume with the same settings, or begin a new training with the weights (load_from, in another --work-dir)"
        )
