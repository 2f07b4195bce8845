"""Whole decoded videos in memory, for data sets that fit."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64, Shaped

from stal.errors import StalError


class VideoCache:
    """Whole decoded videos, kept until a byte budget is spent.

    What is read does not depend on the budget: where the whole of a video cannot be read, which is tried once, the
    frames that are asked for are read alone, each time.
    """

    def __init__(self, num_bytes: int) -> None:
        self._free_bytes = num_bytes
        self._volumes: dict[str, np.ndarray] = {}
        self._tried: set[str] = set()

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
            if num_bytes > self._free_bytes or key in self._tried:
                return read(indices)
            self._tried.add(key)  # before it takes longer than it may
            try:
                self._volumes[key] = read(np.arange(num_frames))
            except StalError:  # of a frame that may not be among those that are asked for
                return read(indices)
            self._free_bytes -= num_bytes
        return self._volumes[key][indices]
