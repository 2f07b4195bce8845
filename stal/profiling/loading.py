"""How fast clips are read, and how long a training waits for them."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from mmengine.config import Config

from stal.data.transforms import PendingClip
from stal.engine.build import build_annotations
from stal.engine.loader import ClipLoader, build_loader
from stal.profiling.timing import synchronize
from stal.structures import Clip

Batch = Sequence[Clip | PendingClip]
_WARM_UP = 2  # batches, in which workers start


class Throughput(NamedTuple):
    """What was read in some time.

    Attributes:
        clips_per_second: read, and trained on where that is measured.
        data_time_share: part of the time in which clips were waited for.
    """

    clips_per_second: float
    data_time_share: float


def open_loader(config: Config) -> ClipLoader:
    """Return the loader of the config's training clips.

    Raises:
        DataNotFoundError: they are not there.
    """
    return build_loader(config, "train_dataloader", build_annotations(config, "train_dataloader"), seed=0)


def measure_loading(
    loader: ClipLoader, num_batches: int, device: torch.device, train: Callable[[Batch], None] | None = None
) -> Throughput:
    """Return how fast a loader gives clips.

    Args:
        loader: gives the batches.
        num_batches: that count; some before them do not.
        device: that `train` computes on.
        train: takes each batch; None to read alone.
    """
    batches = _endless(loader)
    for _ in range(_WARM_UP):
        _take(batches, train)
    synchronize(device)
    waited, num_clips, start = 0.0, 0, time.perf_counter()
    for _ in range(num_batches):
        seconds, batch_size = _take(batches, train)
        synchronize(device)
        waited += seconds
        num_clips += batch_size
    seconds = time.perf_counter() - start
    return Throughput(num_clips / seconds, waited / seconds)


def _take(batches: Iterator[Batch], train: Callable[[Batch], None] | None) -> tuple[float, int]:
    """Take a batch, and return for how many seconds it was waited for, and its number of clips."""
    asked = time.perf_counter()
    batch = next(batches)
    waited = time.perf_counter() - asked
    if train is not None:
        train(batch)
    return waited, len(batch)


def _endless(loader: ClipLoader) -> Iterator[Batch]:
    """Yield batches, epoch after epoch."""
    return itertools.chain.from_iterable(itertools.repeat(loader))
