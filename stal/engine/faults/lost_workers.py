"""Workers of a loader that died or hang: which they are, and what they were reading."""

import contextlib
import multiprocessing
import re
import signal
import threading
from collections.abc import Iterator

from stal.data.reading_board import ReadingBoard
from stal.errors import StalError, WorkerError

# torch has no kinds of its own for them.
_DIED = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(.*)", re.DOTALL)
_TIMED_OUT = "DataLoader timed out"
_END_SECONDS = 5.0  # enough for a killed process to be gone, unless a disk holds it


def worker_error(error: RuntimeError, board: ReadingBoard, timeout_seconds: float) -> WorkerError | None:
    """Return what torch says of workers as an error that names what they were reading; None if it is of others.

    Workers that hang are killed, or the process would wait for them when it ends.

    Args:
        error: what a DataLoader raised, or what its workers' death raised elsewhere.
        board: of the loader's data set.
        timeout_seconds: of the loader.
    """
    if isinstance(error, StalError):
        return None
    if str(error).startswith(_TIMED_OUT):
        entries = board.entries()
        _kill({entry.pid for entry in entries})
        return WorkerError(
            f"the loader's workers gave no batch for {timeout_seconds:g} s, its `timeout`: "
            f"{'; '.join(map(str, entries))}. A disk does not answer, a library hangs on a file (num_workers=0 and a "
            "debugger show which), or the timeout is too short"
        )
    died = _DIED.match(str(error))
    lost = {int(pid) for pid in died[1].split(",")} if died else set()
    entries = [entry for entry in board.entries() if entry.pid in lost]
    if not entries:
        return None
    cause = _DIED.match(str(error.__cause__)) or died  # how it died
    return WorkerError(
        f"a worker of the loader died ({cause[2].strip() if cause else ''}): {'; '.join(map(str, entries))}. If memory "
        "was short (dmesg says so), lower num_workers or dataset.cache_bytes; if a library crashed on the file, find "
        "out by tools/check_data.py, and replace or leave out the video"
    )


def _kill(pids: set[int]) -> None:
    """End workers, whatever they do, without torch raising an error for each."""
    with _without_handler(signal.SIGCHLD):
        workers = [child for child in multiprocessing.active_children() if child.pid in pids]
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join(_END_SECONDS)


@contextlib.contextmanager
def _without_handler(number: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # where no handler runs
        yield
        return
    handler = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, handler)
