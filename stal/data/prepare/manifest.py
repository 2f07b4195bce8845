"""The list of the copies that are complete, by which a run goes on where the last one ended.

`prepared.jsonl` has lines for every copy, and before them one that says what kind of copies they are:

    {"format": "stal-prepared", "version": 1, "kind": "mp4"}
    {"key": "Biking/v_Biking_g01_c01"}
    {"key": "Biking/v_Biking_g01_c01", "source": {...}, "settings": {...}, "copy": {...}, "rule": "order"}

`source` is the state of the video's files, `copy` is the size of its copy, and `settings` is all else that the copy
depends on. A line with the key alone stands before a copy is moved to its place: what is there is of this tool. The
last line of a key counts. A line that was cut off when a run was killed is no line.
"""

import contextlib
import fcntl
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from stal.errors import ConfigError, StalError

FILE_NAME = "prepared.jsonl"

_HEADER = {"format": "stal-prepared", "version": 1}

_logger = logging.getLogger(__name__)


class Manifest:
    """The finished copies in a folder."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        file.seek(0)
        content = file.read()
        records = [record for record in map(_parse, content.splitlines()) if isinstance(record.get("key"), str)]
        self._records = {record["key"]: record for record in records}
        if content and not content.endswith("\n"):
            file.write("\n")  # ends the line that was cut off

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def find(self, key: str) -> dict[str, Any]:
        """Return the record of a copy, empty if there is none."""
        return self._records.get(key, {})

    def add(self, record: dict[str, Any]) -> None:
        """Note a copy: that it is complete, or, by its `key` alone, that it is not."""
        with writing_to(Path(self._file.name).parent):
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        self._records[record["key"]] = record


@contextlib.contextmanager
def open_manifest(folder: Path, kind: str) -> Iterator[Manifest]:
    """Open the manifest of a folder, or begin it in one that is empty or not there; others are kept out meanwhile.

    Args:
        folder: of the copies.
        kind: of the copies.

    Raises:
        ConfigError: the folder holds other things, or another run is writing to it.
    """
    path = folder / FILE_NAME
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder for the copies")
    with writing_to(folder):
        if folder.is_dir() and any(folder.iterdir()) and not path.is_file():
            raise ConfigError(f"{folder} is not empty, and is not of this tool (no {FILE_NAME}); name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8", errors="replace")
    with file:
        with writing_to(folder):
            _lock(file, folder)
            _check_header(file, path, _HEADER | {"kind": kind})
            manifest = Manifest(file)
        yield manifest


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn an error of the system, while a folder is written to, into a `ConfigError`."""
    try:
        yield
    except StalError:  # some of them are errors of the system too
        raise
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written to ({error}); name a folder on another disk") from error


def _lock(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(f"{folder}: another run is writing there; wait for its end") from error
    except OSError as error:  # some network disks have no locks
        _logger.warning("%s: cannot be locked (%s); start no second run there", folder, error.strerror)


def size_of(path: Path) -> dict[str, int]:
    """Return how many files there are at a path, a file or a folder of files, and their bytes; empty if none."""
    state = state_of(path)
    return {name: state[name] for name in state if name != "mtime_ns"}


def state_of(path: Path) -> dict[str, int]:
    """Return the size of what is at a path, and when the last of its files was changed; empty if nothing is there."""
    try:
        stats = [entry.stat() for entry in path.iterdir()] if path.is_dir() else [path.stat()]
    except OSError:
        return {}
    return {
        "num_files": len(stats),
        "num_bytes": sum(stat.st_size for stat in stats),
        "mtime_ns": max((stat.st_mtime_ns for stat in stats), default=0),
    }


def _check_header(file: TextIO, path: Path, header: dict[str, Any]) -> None:
    """Write the first line if there is none, else see that it is the one expected."""
    expected = json.dumps(header) + "\n"
    file.seek(0)
    line = file.readline()
    if line == expected:
        return
    if not expected.startswith(line):  # a run that was killed at once may have left a part of it
        raise ConfigError(
            f"{path}: begins with {line.strip()[:80]!r}, but copies of the kind {header['kind']!r} were asked for; "
            "name another folder"
        )
    file.truncate(0)
    file.write(expected)
    file.flush()


def _parse(line: str) -> dict[str, Any]:
    """Return the object in a line, empty if there is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
