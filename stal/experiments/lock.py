"""A lock of a process on what it writes. The system releases it when the process ends, however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stal.errors import ConfigError
from stal.evaluation.report import print_note


@contextmanager
def locked(path: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a file, which stays there: that it exists says nothing.

    Args:
        path: of the file, which gets the id of the process that holds the lock; its folder is made if there is none.
        what: is locked, for the message.
        wait: wait for another process that holds it.

    Raises:
        ConfigError: another process holds it, and it is not waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read() or "another one"
            if not wait:
                raise ConfigError(
                    f"process {holder} runs {what} (its lock is {path}); wait until it ends, or end it"
                ) from None
            print_note(f"waiting for process {holder}, which runs {what}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
