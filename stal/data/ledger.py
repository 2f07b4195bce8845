"""The record of samples that cannot be read, and the limit on how many of them there may be."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import get_worker_info

from stal.errors import BadDataError, ConfigError

MIN_BAD_SAMPLES = 10
"""Up to so many samples may be bad whatever share they are: one at the start of a training is all of its samples."""

_MAX_WORKERS = 1024
_logger = logging.getLogger(__name__)


class SampleLedger:
    """Count a training's samples over all workers of this process, and write down those that cannot be read.

    A line of the file is a JSON object. Workers and processes append to one file: a line is written at once, at the end
    of the file, wherever others have moved that meanwhile.

    Args:
        path: the file, made with its folder when the first line is written; None to log the lines.
        max_bad_share: part of the samples that may be bad; 0 for none.

    Raises:
        ConfigError: `max_bad_share` is not a share.
    """

    def __init__(self, path: Path | None, max_bad_share: float) -> None:
        if not 0 <= max_bad_share <= 1:
            raise ConfigError(f"max_bad_share {max_bad_share} is not between 0 and 1")
        self.path = path
        self.max_bad_share = max_bad_share
        # Samples read and not read. Each worker counts in a row of its own, so that none waits for another.
        self._counts = torch.zeros(_MAX_WORKERS, 2, dtype=torch.int64).share_memory_()

    @property
    def num_samples(self) -> int:
        """Number of samples that were tried, by all workers of this process."""
        return int(self._counts.sum())

    @property
    def num_bad(self) -> int:
        """Number of samples that could not be read, by all workers of this process."""
        return int(self._counts[:, 1].sum())

    def count_good(self) -> None:
        """Count a sample that was read."""
        self._count(0)

    def record_bad(self, error: Exception, **record: Any) -> None:
        """Write down a sample that could not be read.

        Args:
            error: why it could not.
            record: which one it is, in values that JSON has.

        Raises:
            BadDataError: too many could not be read, or the ledger cannot be written.
        """
        self._count(1)
        self.write(kind=type(error).__name__, message=str(error), **record)
        num_bad, num_samples = self.num_bad, self.num_samples
        if num_bad > self.max_bad_share * num_samples and (num_bad > MIN_BAD_SAMPLES or self.max_bad_share == 0):
            raise BadDataError(
                f"{num_bad} of {num_samples} training samples cannot be read, and max_bad_share = {self.max_bad_share} "
                f"of them may be bad; repair or leave out the videos{self.place}, the last of which: {error}"
            ) from error

    @property
    def place(self) -> str:
        """Where the bad samples are named, to be put behind them in a message."""
        return " in the log" if self.path is None else f" in {self.path}"

    def write(self, **record: Any) -> None:
        """Append a line with the time and `record`.

        Raises:
            BadDataError: the ledger cannot be written.
        """
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **record})
        if self.path is None:
            _logger.warning("bad sample: %s", line)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(f"{line}\n".encode())
        except OSError as error:
            raise BadDataError(f"{self.path}: cannot be written ({error.strerror}), and should have: {line}") from error

    def _count(self, column: int) -> None:
        worker = get_worker_info()
        self._counts[worker.id % _MAX_WORKERS if worker else 0, column] += 1
