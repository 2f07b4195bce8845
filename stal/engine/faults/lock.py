"""A lock of a process on what it writes. The system releases it when the process ends, however that ends."""

import fcntl
import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from stal.errors import ConfigError
from stal.evaluation.report import print_note

_logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a file, which stays there: that it exists says nothing.

    Args:
        path: of the file, which gets who holds the lock; its folder is made if there is none.
        what: is locked, for the message.
        wait: wait for another process that holds it.

    Raises:
        ConfigError: another process holds it, and it is not waited for; or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = FileIO(path, "a+")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}), so that no other run is kept out") from error
    with file:
        _take(file, path, what, wait)
        _held.add(file)
        try:
            file.truncate(0)
            file.write(_describe_process().encode())
            yield
        finally:
            _held.discard(file)


def _take(file: FileIO, path: Path, what: str, wait: bool) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode(errors="replace") or "another process"
        if not wait:
            raise ConfigError(
                f"{what} is run by {holder}; wait until it ends, or end it (its lock is {path})"
            ) from None
        print_note(f"waiting for {what}, which is run by {holder}")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:  # file systems of clusters need not know locks
        _logger.warning("%s cannot be locked (%s): take care that no other run writes there", path, error.strerror)


def _describe_process() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()}, since {since}: {shlex.join(sys.orig_argv)}"


_held: set[FileIO] = set()


def _let_go() -> None:
    """Close what a forked process has of its parent's locks, which would outlive the parent with it."""
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
