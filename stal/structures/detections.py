"""What a detector found in a video."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int64

from stal.errors import ShapeError
from stal.structures.describe import ShapeRepr, check_boxes


@dataclass(frozen=True, eq=False, repr=False)
class Detections(ShapeRepr):
    """Scored boxes of one video, in any order, one class each.

    Attributes:
        frames: (N,) int64, 0-based frames of the video.
        boxes: (N, 4) float32, xyxy half-open pixels of the video.
        labels: (N,) int64 classes.
        scores: (N,) float64, higher is surer.
    """

    frames: Int64[np.ndarray, " N"]
    boxes: Float32[np.ndarray, "N 4"]
    labels: Int64[np.ndarray, " N"]
    scores: Float[np.ndarray, " N"]

    def __post_init__(self) -> None:
        for name, dtype in (("frames", np.int64), ("boxes", np.float32), ("labels", np.int64), ("scores", np.float64)):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=dtype))
        n = len(self.frames)
        shapes = {name: getattr(self, name).shape for name in ("frames", "boxes", "labels", "scores")}
        if shapes != {"frames": (n,), "boxes": (n, 4), "labels": (n,), "scores": (n,)}:
            raise ShapeError(f"detections: shapes {shapes} must be (N,), (N, 4), (N,), (N,) of the same N")
        if n == 0:
            return
        if not np.isfinite(self.scores).all():
            row = int((~np.isfinite(self.scores)).argmax())
            raise ShapeError(f"detections: score {self.scores[row]} at row {row}: scores must be finite")
        if self.frames.min() < 0 or self.labels.min() < 0:
            raise ShapeError("detections: a frame or a label is negative; both are 0-based")
        check_boxes(self.boxes, "detections")

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def empty(cls) -> Detections:
        """Return no detections."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0))

    @classmethod
    def concatenate(cls, parts: Sequence[Detections]) -> Detections:
        """Return the detections of all parts, in their order."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(cls)))

    def __getitem__(self, index: Any) -> Detections:
        """Return the rows that `index` (an array of positions or booleans, or a slice) selects."""
        return Detections(self.frames[index], self.boxes[index], self.labels[index], self.scores[index])
