"""The data sets of an experiment: made by their commands where they are missing, and named by `{name}`."""

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stal.data.formats.whole_file import open_whole
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

    A data set is made beside its folder and then moved there, so that the folder is there only when it is complete.

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
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was interrupted
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        command = _fill(made.command, folders | {"out": unfinished}, f"data.{made.name}")
        print(f"making {made.name}: {shlex.join(command)}", flush=True)
        done = subprocess.run([sys.executable, *command], text=True, stderr=subprocess.PIPE)
        if done.returncode or not unfinished.is_dir():
            said = "\n".join(done.stderr.strip().splitlines()[-_NUM_LINES:]) or "it made no folder {out}"
            raise ConfigError(f"data.{made.name}: `{shlex.join(command)}` failed: {said}")
        with open_whole(unfinished / _MADE) as file:
            file.write(json.dumps({"command": command, "digest": _digest(unfinished)}, indent=2).encode())
        unfinished.replace(folder)
    return folders


def data_digests(folders: Mapping[str, Path]) -> dict[str, str]:
    """Return a digest of the files of every data set that is there."""
    return {
        name: json.loads((folder / _MADE).read_text())["digest"] for name, folder in folders.items() if folder.is_dir()
    }


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


def _digest(folder: Path) -> str:
    """Return a digest of the names and contents of all files in a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]
