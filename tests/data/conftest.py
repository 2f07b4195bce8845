"""A small detections file that every test of its reading changes in its own way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BOXES = np.array([[0, 0, 4, 4], [1, 0, 5, 4], [2, 0, 6, 4]], np.float32)


@pytest.fixture
def write_npz(tmp_path: Path) -> Callable[..., Path]:
    """Write the layout without `format` (1-based frames, one size for all videos), with some arrays changed.

    An array that is None is left out; `only` keeps the arrays whose names begin so.
    """
    arrays = {
        "labels": np.array(["run", "jump"]),
        "videos": np.array(["a", "b"]),
        "nframes": np.array([10, 8], np.int32),
        "hw": np.array([240, 320], np.int32),
        "gt_video": np.array([1], np.int32),
        "gt_class": np.array([1], np.int16),
        "gt_start": np.array([6], np.int32),
        "gt_offset": np.array([0, 3]),
        "gt_boxes": BOXES,
        "det_video": np.array([1, 0, 1], np.int32),
        "det_frame": np.array([8, 1, 2], np.int32),
        "det_class": np.array([0, 1, 1], np.int16),
        "det_score": np.array([0.5, 0.25, 0.75], np.float32),
        "det_boxes": BOXES,
        "tube_video": np.array([0, 0], np.int32),
        "tube_class": np.array([0, 1], np.int16),
        "tube_start": np.array([1, 10], np.int32),
        "tube_score": np.array([0.5, 0.25], np.float32),
        "tube_offset": np.array([0, 2, 3]),
        "tube_boxes": BOXES,
    }

    def write(name: str = "bad.npz", only: tuple[str, ...] = ("",), **changes: Any) -> Path:
        kept = {key: array for key, array in arrays.items() if key.startswith(only)} | changes
        np.savez(tmp_path / name, **{key: array for key, array in kept.items() if array is not None})
        return tmp_path / name

    return write
