"""Work that is spread over processes, of which each may die without taking the others along.

Decoders are native code, and a broken video may end the process that reads it.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stal.errors import ConfigError

Job = TypeVar("Job")
Result = TypeVar("Result")


def num_available_cores() -> int:
    """Return the number of cores that this process may use, where the system tells, or else has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class ProcessDeath:
    """What comes of a job whose process ended before it was done.

    Attributes:
        exit_code: of the process; the negative number of the signal that ended it.
    """

    exit_code: int

    def __str__(self) -> str:
        return f"the process ended with exit code {self.exit_code}"


def run_in_processes(
    function: Callable[[Job], Result], jobs: Sequence[Job], num_processes: int
) -> Generator[tuple[Job, Result | ProcessDeath], None, None]:
    """Call `function` with every job, and give the results as they come; closed early, end the processes at once.

    Args:
        function: of a module, so that other processes can import it.
        jobs: are started in this order.
        num_processes: 1 works in this process.

    Yields:
        Every job with its result.

    Raises:
        ConfigError: there is to be no process.
    """
    if num_processes < 1:
        raise ConfigError(f"{num_processes} processes: at least 1 works")
    if num_processes == 1:
        for job in jobs:
            yield job, function(job)
        return
    waiting = deque(jobs)
    workers: dict[Connection, _Worker[Job, Result]] = {}
    try:
        while waiting or workers:
            while waiting and len(workers) < num_processes:
                worker = _Worker(function, waiting.popleft())
                workers[worker.connection] = worker
            for ready in wait(list(workers)):
                worker = workers[ready]  # type: ignore[index]
                job, result = worker.job, worker.take_result()
                if waiting and not isinstance(result, ProcessDeath):
                    worker.start(waiting.popleft())
                else:
                    workers.pop(worker.connection).end()
                yield job, result
    finally:
        for worker in workers.values():
            worker.end()


def run_with_progress(
    function: Callable[[Job], Result], jobs: Sequence[Job], num_processes: int, text: str, show_progress: bool
) -> Generator[tuple[Job, Result | ProcessDeath], None, None]:
    """Return what `run_in_processes` does, and show on a terminal how much is done, and how long it takes."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    is_shown = show_progress and console.is_terminal
    with (
        Progress(*columns, TimeRemainingColumn(), console=console, disable=not is_shown) as progress,
        contextlib.closing(run_in_processes(function, jobs, num_processes)) as results,
    ):
        bar = progress.add_task(text, total=len(jobs))
        for result in results:
            yield result
            progress.advance(bar)


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C here for a moment, and for good in processes started meanwhile, which inherit it from their birth.

    A terminal sends it to all processes, but it is this one that ends the others, without a traceback from each.
    """
    if threading.current_thread() is not threading.main_thread():  # no other may set a handler
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


class _Worker(Generic[Job, Result]):
    """A process that works on one job at a time."""

    def __init__(self, function: Callable[[Job], Result], job: Job) -> None:
        context = multiprocessing.get_context("spawn")  # the same on every platform, and safe beside threads
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(function, theirs), daemon=True)
        with deaf_to_interrupts():
            self._process.start()
        theirs.close()  # theirs alone keeps the pipe open from now on
        self.start(job)

    def start(self, job: Job) -> None:
        """Hand the process its next job."""
        self.job = job
        with contextlib.suppress(BrokenPipeError):  # it is dead, which `take_result` will tell
            self.connection.send(job)

    def take_result(self) -> Result | ProcessDeath:
        """Wait for the result of the job."""
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            return ProcessDeath(self._process.exitcode or 0)

    def end(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        self._process.terminate()
        self._process.join()


def _serve(function: Callable[[Job], Result], connection: Connection) -> None:
    """Work on what comes through the pipe until its other end is closed."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    while True:
        try:
            job = connection.recv()
        except (EOFError, ConnectionError):
            return
        result = function(job)
        with contextlib.suppress(ConnectionError):
            connection.send(result)


def end_with_parent() -> None:
    """End this process once the one that started it is gone, even in the middle of a job."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
