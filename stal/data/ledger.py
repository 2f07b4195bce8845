"""The record of samples that cannot be read, and the limit on how many of them there may be."""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import get_worker_info

from stal.errors import BadDataError, ConfigError

MIN_BAD_SAMPLES = 10
"""Until its epoch ends, a process may have so many, whatever share they are: the first sample is all that there are."""

_MAX_WORKERS = 1024
_NUM_NAMED = 5  # videos in a message
_logger = logging.getLogger(__name__)


class SampleLedger:
    """Count a training's samples over all workers of this process, and write down those that cannot be read.

    Workers read ahead of the training. What they count is for the limit; what a training says and keeps of itself is
    counted with the batches that it takes (`take_counts`, `count_used`), and so does not depend on where it is cut off.

    A line of the file is a JSON object. Workers and processes append to one file: a line is written at once, at the end
    of the file, wherever others have moved that meanwhile.

    Args:
        path: the file, made with its folder when the first line is written; None to log the lines.
        max_bad_share: part of the samples that may be bad; 0 for none.
        keys: names of the videos that samples are taken of.

    Attributes:
        used: numbers of bad and of all samples that were tried for the batches that this process was given.

    Raises:
        ConfigError: `max_bad_share` is not a share.
    """

    def __init__(self, path: Path | None, max_bad_share: float, keys: Sequence[str]) -> None:
        if not 0 <= max_bad_share <= 1:
            raise ConfigError(f"max_bad_share {max_bad_share} is not between 0 and 1")
        self.path = path
        self.max_bad_share = max_bad_share
        self._rows = {key: row for row, key in enumerate(keys)}
        # Samples read and not read. Each worker counts in a row of its own, so that none waits for another; the last
        # row is for what was counted before a training was cut off.
        self._counts = torch.zeros(_MAX_WORKERS + 1, 2, dtype=torch.int64).share_memory_()
        self._taken = (0, 0)
        self.used = (0, 0)
        # Whether each video had a bad sample, and whether it is damaged. Workers only ever set them.
        self._flags = torch.zeros(len(keys), 2, dtype=torch.int64).share_memory_()

    @property
    def num_samples(self) -> int:
        """Number of samples that were tried, by all workers of this process."""
        return int(self._counts.sum())

    @property
    def num_bad(self) -> int:
        """Number of samples that could not be read, by all workers of this process."""
        return int(self._counts[:, 1].sum())

    @property
    def flags(self) -> Int64[Tensor, "V 2"]:
        """Whether each video had a bad sample (1 or 0), and whether it is damaged, by all workers of this process."""
        return self._flags.clone()

    def count_good(self) -> None:
        """Count a sample that was read."""
        self._count(0)

    def count_earlier(self, num_bad: int, num_samples: int) -> None:
        """Add what was counted before a training was interrupted."""
        self._counts[-1] += torch.tensor([num_samples - num_bad, num_bad])
        self.count_used((num_bad, num_samples))

    def take_counts(self) -> tuple[int, int]:
        """Return the numbers of bad and of all samples that this worker has tried since it was last asked."""
        num_good, num_bad = self._counts[_row_of_worker()].tolist()
        earlier, self._taken = self._taken, (num_bad, num_good + num_bad)
        return self._taken[0] - earlier[0], self._taken[1] - earlier[1]

    def count_used(self, counts: tuple[int, int]) -> None:
        """Add what `take_counts` said of a batch, once the batch is used."""
        self.used = (self.used[0] + counts[0], self.used[1] + counts[1])

    def record_bad(self, error: Exception, *, video: str, **record: Any) -> None:
        """Write down a sample that could not be read.

        Args:
            error: why it could not.
            video: key of the video that it is of.
            record: which one it is, in values that JSON has.

        Raises:
            BadDataError: too many could not be read, or the ledger cannot be written.
        """
        self._count(1)
        self._flags[self._rows[video], 0] = 1
        self.write(kind=type(error).__name__, message=str(error), video=video, **record)
        if self.num_bad > MIN_BAD_SAMPLES or self.max_bad_share == 0:
            self.check_share(self.num_bad, self.num_samples, self.flags, cause=error)

    def record_damaged(self, damage: str, *, video: str, **record: Any) -> None:
        """Write down that a video of which samples can be read is damaged.

        Args:
            damage: what is wrong with it.
            video: its key.
            record: more of it, in values that JSON has.

        Raises:
            BadDataError: the ledger cannot be written.
        """
        self._flags[self._rows[video], 1] = 1
        self.write(kind="damaged", message=damage, video=video, **record)

    def check_share(
        self, num_bad: int, num_samples: int, flags: Int64[Tensor, "V 2"], cause: Exception | None = None
    ) -> None:
        """Hold the samples that could not be read against `max_bad_share`.

        Args:
            num_bad: samples that could not be read, by this process or by all.
            num_samples: samples that were tried, by the same.
            flags: as the property, of the same.
            cause: why the last one could not.

        Raises:
            BadDataError: too many could not be read.
        """
        if num_bad <= self.max_bad_share * num_samples:
            return
        # None, if all were bad before the training was resumed.
        keys = [key for key, is_bad in zip(self._rows, flags[:, 0].tolist(), strict=True) if is_bad]
        more = f" and {len(keys) - _NUM_NAMED} more" if len(keys) > _NUM_NAMED else ""
        named = f" ({', '.join(keys[:_NUM_NAMED])}{more})" if keys else ""
        raise BadDataError(
            f"{num_bad} of {num_samples} training samples cannot be read, and max_bad_share = {self.max_bad_share} of "
            f"them may be bad; repair or leave out the videos that are named{self.place}{named}, or raise "
            "train_dataloader.dataset.max_bad_share" + (f"; the last: {cause}" if cause else "")
        ) from cause

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
            _logger.warning("sample ledger: %s", line)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(f"{line}\n".encode())
        except OSError as error:
            raise BadDataError(f"{self.path}: cannot be written ({error.strerror}), and should have: {line}") from error

    def _count(self, column: int) -> None:
        self._counts[_row_of_worker(), column] += 1


def _row_of_worker() -> int:
    worker = get_worker_info()
    return worker.id % _MAX_WORKERS if worker else 0
