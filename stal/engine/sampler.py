"""Which clips a process tests: whole videos, so that it can finish them alone."""

from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from stal.errors import ConfigError


class VideoBatchSampler(Sampler[list[int]]):
    """Yield batches of clips for a test: every clip of this process's videos once, and each batch of one video.

    The videos are cut into as many runs as there are processes, of about as many clips each:

        clips of the videos    0 0 0 0 | 1 1 1 | 2 2 2 2
        process 0, batches     [0 0 0] [0] [1 1 1]
        process 1, batches                       [2 2 2] [2]

    A run has no part of a video and nothing is repeated to make runs equally long; with few videos, one may be empty.
    A clip shares its batch with the same clips in any number of processes, and so its result is the same to the last
    bit even where a network's depends on the size of the batch.

    Args:
        num_clips: number of clips of each video of a data set whose samples are the clips of one video after the other.
        batch_size: number of clips of a batch; the last batch of a video may have fewer.
    """

    def __init__(self, num_clips: Sequence[int], batch_size: int) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size {batch_size} must be at least 1")
        rank, world_size = get_dist_info()
        ends = np.cumsum(num_clips, dtype=np.int64)
        starts = ends - num_clips
        # A video belongs to the process in whose equal share of the clips its middle lies, the earlier one on a border.
        owners = ((starts + ends) * world_size - 1) // (2 * sum(num_clips))
        self._batches = [
            list(range(first, min(first + batch_size, end)))
            for start, end in zip(starts[owners == rank].tolist(), ends[owners == rank].tolist(), strict=True)
            for first in range(start, end, batch_size)
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)
