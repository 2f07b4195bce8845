"""Checkpoints that hold only tensors and plain containers, so that they open without running code."""

from __future__ import annotations

import logging
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, Runner
from torch import Tensor, nn

from stal.engine.faults.checkpoint_file import LAST_CHECKPOINT, check_file
from stal.errors import CheckpointError
from stal.models.weights.differences import describe_differences

_logger = logging.getLogger(__name__)

_WEIGHTS = ("state_dict", "ema_state_dict")
_NAME = re.compile(r"(epoch|iter)_(\d+)\.pth")  # of a checkpoint that can be resumed from

# What torch.load raises on files that are cut short, altered, or something else altogether.
_BROKEN_FILE = (
    RuntimeError, EOFError, zipfile.BadZipFile, ValueError, LookupError, struct.error, AssertionError, TypeError,
    AttributeError,
)  # fmt: skip


def read_checkpoint(path: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Return the content of a checkpoint file, opened with `weights_only=True`.

    Args:
        path: the file, or a work directory, whose last checkpoint is taken.
        map_location: device for the tensors.

    Raises:
        CheckpointError: the file is missing, not a checkpoint, cut short, altered, or would run code when opened.
    """
    path = find_checkpoint(path)
    checkpoint = read_tensors(path, map_location)
    weights = [checkpoint[key] for key in _WEIGHTS if key in checkpoint] if isinstance(checkpoint, dict) else []
    if not weights or "state_dict" not in checkpoint or not all(map(_is_weights, weights)):
        raise CheckpointError(
            f"checkpoint {path} has no `state_dict` of weights; it was not written by stal's training"
        )
    return checkpoint


def read_tensors(path: Path, map_location: Any = "cpu") -> Any:
    """Return the content of a file that torch wrote, opened with `weights_only=True`.

    Args:
        path: the file.
        map_location: device for the tensors.

    Raises:
        CheckpointError: it is not such a file, cut short, altered, or would run code when opened.
    """
    try:
        check_file(path)
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        asked_for = re.search(r"GLOBAL (\S+)", str(error))
        raise CheckpointError(
            f"checkpoint {path} is refused: "
            + (f"opening it would run {asked_for[1]}" if asked_for else "it is not a checkpoint")
            + "; only files of tensors and plain containers are opened"
        ) from error
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read ({error.strerror or error})") from error
    except _BROKEN_FILE as error:
        raise CheckpointError(
            f"checkpoint {path} is broken or cut short ({error}); use an earlier one, or get it again"
        ) from error


def _is_weights(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(weight, Tensor) for weight in value.values())


def find_checkpoint(path: str | os.PathLike[str]) -> Path:
    """Return `path` if it is a file, and the last good checkpoint of a training if it is its work directory.

    Raises:
        CheckpointError: there is no such file, or no good checkpoint in the directory.
    """
    if "://" in str(path):
        raise CheckpointError(f"checkpoint {path} is not a file of this machine: download it, and name the file")
    path = Path(path).expanduser()
    if path.is_file():
        return path
    found = find_last(path)
    if found is None:
        raise CheckpointError(f"there is no checkpoint {path}, nor is it the work directory of a training with one")
    return found


def find_last(work_dir: Path) -> Path | None:
    """Return the last good checkpoint of a training; None if it has saved none.

    It is the one that `last_checkpoint` names. If that is broken, a warning says so, and the one before it is taken.

    Raises:
        CheckpointError: there are checkpoints, but none is good.
    """
    pointer = work_dir / LAST_CHECKPOINT
    saved = {path for path in work_dir.glob("*.pth") if _NAME.fullmatch(path.name)}
    last = ""
    if pointer.is_file():
        last = Path(pointer.read_text(errors="replace").strip()).name or "nothing"  # the directory may have moved
        try:
            read_checkpoint(work_dir / last)
            return work_dir / last
        except CheckpointError as error:
            problem = str(error) if (work_dir / last).is_file() else f"{pointer} names {last}, which is not there"
    elif saved:
        problem = f"{pointer} is not there"
    else:
        return None
    earlier = _last_of(saved - {work_dir / last}, before=last)
    if earlier is None:
        raise CheckpointError(f"{problem}; {work_dir} has no good one from before it")
    _logger.warning("%s: %s takes its place", problem, earlier)
    return earlier


def _last_of(paths: Iterable[Path], before: str = "") -> Path | None:
    """Return the good checkpoint of the latest iteration, of those from before the one that is named `before`."""
    limit = _NAME.fullmatch(before)
    good = []
    for path in paths:
        try:
            meta = read_checkpoint(path).get("meta", {})
        except CheckpointError as error:
            _logger.warning("%s", error)
            continue
        # A later one is of another training in the same directory.
        if "iter" in meta and (limit is None or meta[limit[1]] < int(limit[2])):
            good.append((meta["iter"], path))
    return max(good)[1] if good else None


def read_classes(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the names of the classes that a checkpoint was trained on, in the order of its scores.

    Args:
        path: the file, or a work directory, whose last checkpoint is taken.

    Raises:
        CheckpointError: the file cannot be used, or does not name them.
    """
    classes = (read_checkpoint(path).get("meta", {}).get("dataset_meta") or {}).get("classes")
    if not classes:
        raise CheckpointError(
            f"checkpoint {path} does not name its classes, so what it sees has no name: use one that training wrote"
        )
    return tuple(classes)


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load the weights of a checkpoint into `model`; every weight must be there, and none may be left over.

    Raises:
        CheckpointError: the file cannot be used, or is of another model.
    """
    path = find_checkpoint(path)
    state_dict = read_checkpoint(path)["state_dict"]
    check_weights(model, state_dict, str(path))
    model.load_state_dict(state_dict)


def check_weights(model: nn.Module, state_dict: Mapping[str, Tensor], origin: str) -> None:
    """Raise a CheckpointError that names the differences unless `state_dict` is one of this very model."""
    differences = describe_differences(model.state_dict(), state_dict)
    if differences:
        raise CheckpointError(
            f"checkpoint {origin} is of another model: {differences}; use the config that it was trained with"
        )


class PlainCheckpointHook(Hook):
    """Make mmengine 0.10.7's checkpoints loadable with `weights_only=True`, and safe to resume from.

    mmengine stores objects of its own classes, which torch >= 2.6 refuses to load, and when it resumes it runs the text
    of a config that it finds in the file.
    """

    priority = "VERY_LOW"

    def before_run(self, runner: Runner) -> None:
        """Make the runner open checkpoints by `read_checkpoint`."""
        CheckpointLoader.register_scheme(
            # On the CPU, whatever mmengine asks for: weights and state are copied from there to where they belong, and
            # Adam's counts of steps must stay there, or it would wait for the GPU at every weight.
            prefixes="",
            loader=lambda filename, map_location: read_checkpoint(filename),
            force=True,
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace mmengine's objects by plain ones."""
        hub = checkpoint["message_hub"]
        checkpoint["message_hub"] = {
            "log_scalars": {
                name: {
                    "history": torch.from_numpy(np.asarray(buffer.data[0], dtype=np.float64)),
                    "counts": torch.from_numpy(np.asarray(buffer.data[1], dtype=np.float64)),
                    "max_length": buffer.max_length,
                }
                for name, buffer in hub["log_scalars"].items()
            },
            "runtime_info": {
                key: value
                for key, value in _plain(hub["runtime_info"]).items()
                if isinstance(value, int | float | str | bool)
            },
            "resumed_keys": dict(hub["resumed_keys"]),
        }
        for key in checkpoint.keys() - {"state_dict"}:
            checkpoint[key] = _plain(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Build mmengine's objects again."""
        checkpoint.get("meta", {}).pop("config", None)
        hub = checkpoint.get("message_hub")
        if hub is not None:
            hub["log_scalars"] = {
                name: HistoryBuffer(b["history"].cpu().numpy(), b["counts"].cpu().numpy(), b["max_length"])
                for name, b in hub["log_scalars"].items()
            }


def _plain(value: Any) -> Any:
    """Return nested containers with NumPy's scalars as Python's, and without functions.

    Schedulers of mmengine keep functions among their state, which they have anyway when they are built.
    """
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value
