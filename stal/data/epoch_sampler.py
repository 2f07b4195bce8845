"""The order of an epoch: a function of the seed, the epoch and the process's rank, and of nothing else."""

from collections.abc import Iterator, Sized

import numpy as np
import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Yield (index, sample seed) pairs in a new random order every epoch, this process's share of them.

    The seeds depend on the seed, the epoch and the position in the epoch, and travel with the index: workers that
    live through many epochs need not be told of a new one. With several processes, each takes every
    `world_size`-th sample; the first samples are repeated at the end so that all have the same number.
    """

    def __init__(self, dataset: Sized, seed: int = 0) -> None:
        """Note the process's rank among those of torch.distributed, or that it is the only one.

        Args:
            dataset: what to take samples of; only its length is used.
            seed: the same on all processes.
        """
        super().__init__()
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = torch.distributed.get_rank() if distributed else 0
        self.world_size = torch.distributed.get_world_size() if distributed else 1
        self.num_samples = len(dataset)
        self.seed = seed
        self.epoch = 0
        self.num_skipped = 0

    def __len__(self) -> int:
        return -(-self.num_samples // self.world_size)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = np.random.default_rng((self.seed, self.epoch))
        order = np.resize(generator.permutation(self.num_samples), len(self) * self.world_size)
        seeds = generator.integers(2**63, size=len(order))
        share = slice(self.rank + self.num_skipped * self.world_size, None, self.world_size)
        yield from zip(order[share].tolist(), seeds[share].tolist(), strict=True)

    def set_epoch(self, epoch: int, num_skipped: int = 0) -> None:
        """Choose the order and the seeds of the next pass.

        Args:
            epoch: 0-based.
            num_skipped: samples of this process that the pass leaves out at its start, since a training that was cut
                off has had them. They still count in the length.
        """
        self.epoch = epoch
        self.num_skipped = num_skipped
