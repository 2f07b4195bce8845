"""A file of another project's weights, converted to one that trainings of this project begin with."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stal.data.formats.pickles import BROKEN_PICKLE, RefusedGlobalError, unpickle
from stal.engine.backbone_weights import BACKBONE_META
from stal.engine.faults.checkpoint import read_tensors
from stal.engine.faults.checkpoint_file import write_checkpoint
from stal.errors import CheckpointError, ConfigError
from stal.models.weights.convert import ConvertedWeights, convert_weights
from stal.models.weights.recipe import Recipe, read_recipe

_LAYOUTS = ("model_state", "state_dict")  # of pytorchvideo and PySlowFast, and of mmaction2


def convert_file(
    path: str | Path, out: str | Path, *, alpha: int | None = None, overwrite: bool = False
) -> ConvertedWeights:
    """Convert a file of weights, write it, and return what was written.

    Args:
        path: a .pyth of pytorchvideo or PySlowFast, a .pkl of PySlowFast, or a .pth of mmaction2 or torchvision.
        out: the file to write; its folder is made if there is none.
        alpha: how many times fewer frames the slow pathway sees; None for what the file says or, if it does not, for
            what the published network of this form has.
        overwrite: write `out` even if it is there already.

    Raises:
        CheckpointError: the file cannot be opened, would run code when opened, or is of a network that is not built
            here.
        ConfigError: `out` is there already.
    """
    path, out = Path(path), Path(out)
    if out.exists() and (out.is_dir() or not overwrite):
        raise ConfigError(f"--out {out} is there already: name another file, or write over a file by --overwrite")
    weights, recipe = read_foreign_weights(path)
    try:
        converted = convert_weights(weights, recipe, alpha=alpha)
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be converted: {error}") from error
    _write(converted, path, out)
    return converted


def read_foreign_weights(path: Path) -> tuple[dict[str, Tensor], Recipe]:
    """Return the weights of a file by the names that they have there, and what it says beside them.

    Raises:
        CheckpointError: it is not there, broken, would run code when opened, or has no weights.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file of weights {path}")
    content = _read_pickle(path) if path.suffix == ".pkl" else read_tensors(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not weights by their names")
    if path.suffix == ".pkl":
        if not isinstance(content.get("blobs"), Mapping):
            raise CheckpointError(f"{path} has no `blobs`, as PySlowFast's files of caffe2 weights have")
        return _read_blobs(content["blobs"]), Recipe()
    weights = next((content[name] for name in _LAYOUTS if isinstance(content.get(name), Mapping)), content)
    others = [str(name) for name, weight in weights.items() if not isinstance(weight, Tensor)]
    if others or not weights:
        raise CheckpointError(
            f"{path} has weights neither in `model_state`, as files of pytorchvideo and PySlowFast, nor in "
            f"`state_dict`, as those of mmaction2, nor by themselves, as those of torchvision; it has "
            f"{', '.join(others) or 'nothing'}"
        )
    try:
        recipe = read_recipe(content["cfg"]) if isinstance(content.get("cfg"), str) else Recipe()
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be converted: {error}") from error
    return dict(weights), recipe


def _read_blobs(blobs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the arrays of real numbers; there are counters and rates too."""
    return {
        name: torch.from_numpy(np.array(blob, dtype=np.float32))
        for name, blob in blobs.items()
        if isinstance(blob, np.ndarray) and blob.dtype.kind == "f"
    }


def _read_pickle(path: Path) -> Any:
    try:
        return unpickle(path)
    except RefusedGlobalError as error:
        raise CheckpointError(
            f"{path} is refused: it asks for `{error}`, which could run code; only files of arrays and plain "
            "containers are opened"
        ) from error
    except BROKEN_PICKLE as error:
        raise CheckpointError(
            f"{path} is not a whole pickle ({type(error).__name__}: {error}; the file has {path.stat().st_size} "
            "bytes); download it again"
        ) from error


def _write(converted: ConvertedWeights, path: Path, out: Path) -> None:
    """Write the file, sealed as checkpoints are."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    meta = {
        "project": converted.project,
        "file": path.name,
        "sha256": digest,
        "is_detection": converted.is_detection,
        "backbone": converted.kind.__name__,
        "network": converted.network,
        "mean": converted.mean,
        "std": converted.std,
    }
    archive = io.BytesIO()
    torch.save(
        {"meta": {BACKBONE_META: meta}, "state_dict": converted.backbone, "head": converted.head},
        archive,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: its folder cannot be made ({error.strerror}); name another file") from error
    write_checkpoint(archive.getvalue(), out)
