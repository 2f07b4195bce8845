"""Jobs that run in processes of their own, which begin with everything imported.

A training leaves much behind in its process: seeds, logs, settings of libraries. A fresh process for each makes its
numbers independent of what ran before. Importing torch and mmengine takes seconds, and so a server imports them once
and splits off a process for every job.
"""

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TypeVar

from stal.data.processes import deaf_to_interrupts, end_with_parent

Job = TypeVar("Job")


def run_in_fresh_processes(
    function: Callable[[Job], None],
    jobs: Sequence[Job],
    num_processes: int,
    *,
    log_of: Callable[[Job], Path],
    preload: Sequence[str] = (),
) -> Generator[tuple[Job, int], None, None]:
    """Call `function` with every job, each in a process of its own; closed early, end the processes at once.

    Args:
        function: of a module, which the server imports before the first job, with all that this module imports.
        jobs: are started in this order.
        num_processes: how many run at once.
        log_of: file that gets what the process of a job prints; its folder is made.
        preload: further modules that the server imports; what changes in their files later, no job sees.

    Yields:
        Every job with the exit code of its process, as they end: 0 if `function` returned, 1 if it raised, and the
        negative number of the signal that ended it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__, *preload])
    waiting = deque(jobs)
    running: dict[int, tuple[ForkServerProcess, Job]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < num_processes:
                job = waiting.popleft()
                log = log_of(job)
                log.parent.mkdir(parents=True, exist_ok=True)
                process = context.Process(target=_run, args=(function, job, str(log)))
                with deaf_to_interrupts():
                    process.start()
                running[process.sentinel] = process, job
            for ended in wait(list(running)):
                process, job = running.pop(ended)  # type: ignore[arg-type]
                process.join()
                yield job, process.exitcode or 0
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.join()


def _run(function: Callable[[Job], None], job: Job, log: str) -> None:
    """Do a job, with everything that is printed in the log."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    with open(log, "wb", buffering=0) as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    function(job)
