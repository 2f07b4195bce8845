"""Batches that fit into memory."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import torch

from stal.errors import DeviceMemoryError

Item = TypeVar("Item")
Result = TypeVar("Result")

_logger = logging.getLogger(__name__)


class FittingBatches:
    """Work through items in batches. One that the GPU has no memory for is done in halves, and so are all after it.

    Args:
        size: items of a batch, as long as they fit.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def map(self, work: Callable[[list[Item]], Sequence[Result]], items: Iterable[Item]) -> Iterator[Result]:
        """Give the result of each item, in their order; at most a batch of items is held.

        Args:
            work: returns the result of each item of a batch; none depends on the others of its batch.
            items: any number.

        Raises:
            DeviceMemoryError: the memory is not enough for a single item.
        """
        remaining = iter(items)
        while batch := list(islice(remaining, self.size)):
            while batch:
                results = self._attempt(work, batch[: self.size])
                yield from results
                batch = batch[len(results) :]

    def _attempt(self, work: Callable[[list[Item]], Sequence[Result]], batch: list[Item]) -> Sequence[Result]:
        """Return the results of a batch, or none and a smaller size if the memory is not enough."""
        try:
            return work(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise DeviceMemoryError(
                    "the GPU has not enough memory for one clip: see by nvidia-smi whether another program uses it, or "
                    "lower the size of test_dataloader.dataset.transform or num_test of model.detector.proposals. "
                    f"torch says: {error}"
                ) from error
            self.size = len(batch) // 2
        # Only here, where the error is gone, is what it held on to free.
        torch.cuda.empty_cache()
        _logger.warning(
            "the GPU has not enough memory for %d clips at once: from now on %d (--batch-size)", len(batch), self.size
        )
        return ()
