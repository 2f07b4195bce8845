"""The data sets of an experiment: made by their commands where they are missing, and named by `{name}`."""

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stal.data.formats.whole_file import open_whole
from stal.engine.faults.lock import locked
from stal.errors import ConfigError
from stal.experiments.spec import DataToMake

_MADE = "made.json"
_PLACE = re.compile(r"\{(\w[\w.+-]*)\}")
_NUM_LINES = 5  # of what a failed command printed


def data_folders(data: Sequence[DataToMake], root: Path) -> dict[str, Path]:
    """Return the folder of each data set: named after it and its command, so that another command has another."""
    folders: dict[str, Path] = {}
    for made in data:
        command = _fill(made.command, folders | {"out": Path("{out}")}, f"data.{made.name}")
        digest = hashlib.sha256(json.dumps(command).encode()).hexdigest()[:12]
        folders[made.name] = root / f"{made.name}-{digest}"
    return folders


def make_data(data: Sequence[DataToMake], root: Path) -> dict[str, Path]:
    """Make the data sets that are missing, and return their folders.

    A data set is made in a folder of its own beside its place and then moved there, so that it is there only when it is
    complete. Of two processes, the second waits for the first.

    Args:
        data: each may use those before it.
        root: folder of all.

    Raises:
        ConfigError: a command fails; the message has the end of what it printed.
    """
    folders = data_folders(data, root)
    for made in data:
        folder = folders[made.name]
        if folder.is_dir():
            continue
        with locked(folder.with_name(f"{folder.name}.lock"), f"the making of {folder}", wait=True):
            if not folder.is_dir():  # it may have been made meanwhile
                _make(made, folders)
    return folders


def data_digests(folders: Mapping[str, Path], sets: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a digest of the files that are there now, of every data set and of every set that is given as a path.

    Args:
        folders: of the data sets that are made.
        sets: by name what is tested; a split has no files of its own.
    """
    made = {name: _digest(folder) for name, folder in folders.items() if folder.is_dir()}
    paths = {name: Path(given) for name, given in (sets or {}).items() if "{" not in given}  # others are in `made`
    return made | {f"sets.{name}": _digest(path) for name, path in paths.items() if path.exists()}


def fill_folders(value: Any, folders: Mapping[str, Path], place: str) -> Any:
    """Return a value of an option with every `{name}` in its texts replaced by the folder of that data set.

    Raises:
        ConfigError: there is no data set of this name.
    """
    if isinstance(value, str):
        (filled,) = _fill([value], folders, place)
        return filled
    if isinstance(value, Mapping):
        return {key: fill_folders(item, folders, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [fill_folders(item, folders, f"{place}[{i}]") for i, item in enumerate(value)]
    return value


def _fill(texts: Sequence[str], folders: Mapping[str, Path], place: str) -> list[str]:
    for name in (name for text in texts for name in _PLACE.findall(text)):
        if name not in folders:
            raise ConfigError(f"{place}: there is no data set {{{name}}}; before it: {', '.join(folders) or 'none'}")
    return [_PLACE.sub(lambda match: str(folders[match[1]]), text) for text in texts]


def _make(made: DataToMake, folders: Mapping[str, Path]) -> None:
    """Make a data set; what there is of it is removed if that fails or is interrupted."""
    folder = folders[made.name]
    scratch = Path(tempfile.mkdtemp(prefix=f"{folder.name}.unfinished.", dir=folder.parent))
    try:
        out = scratch / folder.name
        command = _fill(made.command, {**folders, "out": out}, f"data.{made.name}")
        print(f"making {made.name}: {shlex.join(command)}", flush=True)
        done = subprocess.run([sys.executable, *command], text=True, stderr=subprocess.PIPE)
        if done.returncode or not out.is_dir():
            said = "\n".join(done.stderr.strip().splitlines()[-_NUM_LINES:]) or "it made no folder {out}"
            raise ConfigError(f"data.{made.name}: `{shlex.join(command)}` failed: {said}")
        with open_whole(out / _MADE) as file:
            file.write(json.dumps({"command": command}, indent=2).encode())
        out.replace(folder)
    finally:
        shutil.rmtree(scratch)


def _digest(path: Path) -> str:
    """Return a digest of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    total = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file() and file.name != _MADE):
        total.update(file.relative_to(path).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]
