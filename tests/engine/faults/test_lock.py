"""Who holds a lock is another process, as the system knows no other within one."""

import fcntl
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from stal.engine.faults.lock import locked
from stal.errors import ConfigError


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
    told = (
        rf"the cells is run by process {holder[0]} on {socket.gethostname()}, since 2\d{{3}}-.*: .*python.*pytest.*lock"
    )
    with pytest.raises(ConfigError, match=told), locked(path, "the cells"):
        pass


def test_a_second_process_may_wait(path, holder, capfd):
    holder[1].send("let go")
    with locked(path, "the cells", wait=True):
        assert path.read_text().startswith(f"process {os.getpid()} on ")


def test_a_file_without_a_holder_locks_nothing(path):
    for _ in range(2):
        with locked(path, "the cells"):
            assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert path.is_file()


def test_a_lock_is_not_held_by_what_a_killed_process_had_forked(path):
    """As workers of a loader, which outlive it for some seconds."""

    def fork_and_hold(connection: Connection) -> None:
        with locked(path, "it"):
            worker = os.fork()
            if worker == 0:
                time.sleep(60)
                os._exit(0)
            connection.send(worker)
            connection.recv()

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=fork_and_hold, args=(theirs,))
    process.start()
    worker = ours.recv()
    process.kill()
    process.join()
    with locked(path, "the cells"):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
    os.kill(worker, 9)


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/lock: cannot be written"), locked(tmp_path / "file" / "lock", "it"):
        pass


def test_a_file_system_without_locks_is_warned_of(path, monkeypatch, caplog):
    def cannot(file, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", cannot)
    with locked(path, "it"):
        assert "lock cannot be locked (No locks available): take care" in caplog.text


def test_a_process_that_is_killed_lets_go(path, holder):
    os.kill(holder[0], 9)
    with locked(path, "the cells", wait=True):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
