"""How structures show themselves, and the checks that several of them share."""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stal.errors import ShapeError


def describe(value: Any) -> str:
    """Return a short text for a repr: the shape and type of arrays, the length of sequences, else the value."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Tensor):
        device = "" if value.device.type == "cpu" else f"@{value.device}"
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}{device}"
    if isinstance(value, tuple | list) and len(value) <= 4 and not any(isinstance(v, tuple | list) for v in value):
        return "[" + ", ".join(describe(v) for v in value) + "]"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)


class ShapeRepr:
    """Mixin: a repr that shows shapes."""

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={describe(getattr(self, f.name))}' for f in fields)})"


def check_boxes(boxes: np.ndarray, owner: str) -> None:
    """Raise unless `boxes` (N, 4) are finite and have x1 < x2 and y1 < y2."""
    bad = ~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    if bad.any():
        row = int(bad.argmax())
        raise ShapeError(
            f"{owner}: box {row} is {boxes[row].tolist()}, and {int(bad.sum())} of {len(boxes)} boxes are like it: "
            "boxes are finite xyxy pixels with x1 < x2 and y1 < y2 (is it xywh, or normalised?)"
        )


def check_masks(masks: Tensor, shape: tuple[int, ...], owner: str) -> None:
    """Raise unless silhouettes have `shape` and say True or False."""
    if masks.shape != shape or masks.dtype != torch.bool:
        raise ShapeError(f"{owner}: actor_masks {describe(masks)} must be bool{list(shape)}")
