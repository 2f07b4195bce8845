"""The jobs are functions of Python's own, which any process can import."""

import os
import signal
import time
from pathlib import Path

from stal.experiments.fresh_processes import run_in_fresh_processes


def test_every_job_has_its_exit_code_and_its_log(tmp_path: Path):
    def log_of(job: int) -> Path:
        return tmp_path / f"{job}" / "log.txt"

    codes = dict(run_in_fresh_processes(os._exit, [0, 3, 4], 2, log_of=log_of))
    assert codes == {0: 0, 3: 3, 4: 4}
    assert all(log_of(job).is_file() for job in codes)


def test_an_error_is_in_the_log_and_a_signal_in_the_code(tmp_path: Path):
    log = tmp_path / "log.txt"
    assert list(run_in_fresh_processes(int, ["three"], 1, log_of=lambda job: log)) == [("three", 1)]
    assert "ValueError: invalid literal for int() with base 10: 'three'" in log.read_text()
    jobs = [int(signal.SIGKILL)]
    assert list(run_in_fresh_processes(signal.raise_signal, jobs, 1, log_of=lambda job: log)) == [(9, -9)]


def test_closed_early_it_ends_what_is_running(tmp_path: Path):
    start = time.monotonic()
    ended = run_in_fresh_processes(time.sleep, [0, 600, 600], 2, log_of=lambda job: tmp_path / "log.txt")
    assert next(ended) == (0, 0)
    ended.close()
    assert time.monotonic() - start < 300
