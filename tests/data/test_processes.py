"""Work in several processes. `eval` is a function that every process has, and its jobs are expressions."""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stal.data import processes
from stal.data.processes import ProcessDeath, run_in_processes, run_with_progress
from stal.errors import ConfigError

DIE = "__import__('os')._exit(7)"
KILLED = "__import__('os').kill(__import__('os').getpid(), 9)"
PROCESS = "__import__('os').getpid()"


@pytest.mark.parametrize("jobs", [[], ["1"], ["3", "1", "2"]])
@pytest.mark.parametrize("num_processes", [1, 2])
def test_every_job_gets_its_result(jobs, num_processes):
    results = list(run_in_processes(eval, jobs, num_processes))
    assert sorted(results) == sorted((job, int(job)) for job in jobs)
    if num_processes == 1:
        assert [job for job, _ in results] == jobs


def test_one_process_is_this_one():
    assert list(run_in_processes(eval, [PROCESS], 1)) == [(PROCESS, os.getpid())]


def test_a_process_that_dies_takes_only_its_own_job_along(capfd):
    results = list(run_in_processes(eval, ["1", DIE, "2", KILLED, "1 / 0", "3"], 2))
    assert {job: result for job, result in results if not isinstance(result, ProcessDeath)} == {"1": 1, "2": 2, "3": 3}
    deaths = {job: result.exit_code for job, result in results if isinstance(result, ProcessDeath)}
    assert deaths == {DIE: 7, KILLED: -9, "1 / 0": 1}
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert str(ProcessDeath(-9)) == "the process ended with exit code -9"


def test_processes_end_at_once_when_their_results_are_no_longer_wanted():
    start = time.monotonic()
    with contextlib.closing(run_in_processes(eval, [PROCESS, "__import__('time').sleep(100)", "1", "2"], 2)) as results:
        _, process = next(results)
    assert time.monotonic() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.slow
def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    """Nobody wants their results any more, and what they write would be in the way of the next run."""
    note = tmp_path / "process"
    job = f"(open({str(note)!r}, 'w').write(str({PROCESS})), __import__('time').sleep(100))"
    script = f"from stal.data.processes import run_in_processes; list(run_in_processes(eval, [{job!r}], 2))"
    with subprocess.Popen([sys.executable, "-c", script]) as starter:
        wait_until(lambda: note.is_file() and note.read_text())
        starter.kill()
    wait_until(lambda: not is_running(int(note.read_text())))
    assert not is_running(int(note.read_text()))


def wait_until(is_so, seconds=60):
    start = time.monotonic()
    while not is_so():
        assert time.monotonic() - start < seconds
        time.sleep(0.05)


def is_running(process):
    """Whether there is such a process; one that ended may wait for somebody to ask for its exit code."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_whose_result_is_not_taken_any_more_ends_without_a_traceback():
    ours, theirs = multiprocessing.Pipe()
    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(processes._serve, eval, theirs)
        ours.send("1")
        assert ours.poll(30)
        ours.close()  # with the result in it, which the other end is told as a reset
        assert served.result(30) is None


def test_a_bar_is_shown_on_terminals_alone(capsys):
    assert list(run_with_progress(eval, ["1"], 1, "Text", show_progress=True)) == [("1", 1)]
    assert capsys.readouterr() == ("", "")


def test_no_process_at_all_is_an_error():
    with pytest.raises(ConfigError, match="0 processes"):
        list(run_in_processes(eval, ["1"], 0))
