"""Who holds a lock is another process, as the system knows no other within one."""

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from stal.errors import ConfigError
from stal.experiments.lock import locked


def hold(path: Path, connection: Connection) -> None:
    with locked(path, "it"):
        connection.send("held")
        connection.recv()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "lock"


@pytest.fixture
def holder(path: Path) -> Iterator[tuple[int, Connection]]:
    """The id of a process that holds the lock until something is sent to it."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold, args=(path, theirs))
    process.start()
    assert ours.recv() == "held"
    assert process.pid is not None
    yield process.pid, ours
    process.kill()
    process.join()


def test_a_second_process_is_told_which_one_holds_it(path, holder):
    with pytest.raises(ConfigError, match=rf"process {holder[0]} runs the cells .*lock"), locked(path, "the cells"):
        pass


def test_a_second_process_may_wait(path, holder, capfd):
    holder[1].send("let go")
    with locked(path, "the cells", wait=True):
        assert path.read_text() == str(os.getpid())


def test_a_file_without_a_holder_locks_nothing(path):
    for _ in range(2):
        with locked(path, "the cells"):
            assert path.read_text() == str(os.getpid())
    assert path.is_file()


def test_a_process_that_is_killed_lets_go(path, holder):
    os.kill(holder[0], 9)
    with locked(path, "the cells", wait=True):
        assert path.read_text() == str(os.getpid())
