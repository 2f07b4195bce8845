"""What the workers of a loader read at this moment, written down where the process that waits for them can see it."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.utils.data import get_worker_info

_MAX_WORKERS = 1024
_PID, _VIDEO, _SINCE = range(3)  # columns; a video is its number from 1, 0 for none


@dataclass(frozen=True)
class WorkerEntry:
    """What one worker was at when the board was looked at.

    Attributes:
        worker: its number.
        pid: its process.
        path: what it reads; None if it reads nothing.
        seconds: for how long.
    """

    worker: int
    pid: int
    path: str | None
    seconds: float

    def __str__(self) -> str:
        doing = "reads nothing" if self.path is None else f"has been reading {self.path} for {self.seconds:.1f} s"
        return f"worker {self.worker} (process {self.pid}) {doing}"


class ReadingBoard:
    """A row of shared memory for each worker. Workers that died in the middle of a file have left its number there.

    Args:
        paths: of all that may be read.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._rows = torch.zeros(_MAX_WORKERS, 3, dtype=torch.int64).share_memory_()

    def sign_in(self) -> None:
        """Note which process this worker is."""
        worker = get_worker_info()
        if worker is not None:
            self._rows[worker.id % _MAX_WORKERS] = torch.tensor([os.getpid(), 0, 0])

    @contextmanager
    def reading(self, number: int) -> Iterator[None]:
        """Note that this worker reads a file, as long as it does; what no worker reads is not noted.

        Args:
            number: of the file, the first is 0.
        """
        worker = get_worker_info()
        if worker is None:
            yield
            return
        row = self._rows[worker.id % _MAX_WORKERS]
        row[_SINCE] = time.monotonic_ns()  # a clock that all processes of a machine share
        row[_VIDEO] = number + 1
        try:
            yield
        finally:
            row[_VIDEO] = 0

    def entries(self) -> list[WorkerEntry]:
        """Return what each worker is at."""
        now = time.monotonic_ns()
        return [
            WorkerEntry(worker, pid, self._paths[video - 1] if video else None, (now - since) * 1e-9)
            for worker, (pid, video, since) in enumerate(self._rows.tolist())
            if pid
        ]
