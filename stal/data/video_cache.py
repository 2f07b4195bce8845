"""Whole decoded videos in memory, for data sets that fit."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64, Shaped


class VideoCache:
    """Whole decoded videos, kept until a byte budget is spent."""

    def __init__(self, num_bytes: int) -> None:
        self._free_bytes = num_bytes
        self._volumes: dict[str, np.ndarray] = {}

    def read(
        self,
        key: str,
        num_bytes: int,
        num_frames: int,
        indices: Int64[np.ndarray, " T"],
        read: Callable[[np.ndarray], np.ndarray],
    ) -> Shaped[np.ndarray, "T ..."]:
        """Return the frames at `indices`: from memory, or else by `read`, of the whole video if it fits the budget."""
        if key not in self._volumes:
            if num_bytes > self._free_bytes:
                return read(indices)
            self._volumes[key] = read(np.arange(num_frames))
            self._free_bytes -= num_bytes
        return self._volumes[key][indices]
