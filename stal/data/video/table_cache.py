"""Frame tables on disk: one small file for each video, shared by all processes and later runs.

They stand in the folder `$STAL_CACHE`, else in `$XDG_CACHE_HOME/stal/frame_tables`, else in
`~/.cache/stal/frame_tables`; `STAL_CACHE=off` does without. Everything may be deleted at any time.

A file starts with what it is made from: the video's path, size and time of change, the layout, and the version of
FFmpeg's decoders. One that starts otherwise, or whose checksum is wrong, is written anew. Files are replaced as a
whole, so that several processes may read and write at once; `.part` files, which a killed one leaves, are never read.
They are for whom the umask lets read and write: users share a folder if they have one group, and a umask such as 002.
"""

import hashlib
import json
import logging
import os
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av

from stal.data.formats.whole_file import part_path

_logger = logging.getLogger(__name__)

_LAYOUT = "stal frame table 3"  # count up whenever what a table holds, or how it is found, changes


class Origin(NamedTuple):
    """What a table was made from: a video file in one of its states."""

    path: Path
    size: int
    mtime_ns: int


def cache_folder() -> Path | None:
    """Return the folder of the frame tables on disk, which need not exist, or None if there is to be none."""
    chosen = os.environ.get("STAL_CACHE")
    if chosen is not None:
        return None if chosen in ("", "off") else Path(chosen)
    root = os.environ.get("XDG_CACHE_HOME")
    if root:
        return Path(root) / "stal/frame_tables"
    try:
        return Path.home() / ".cache/stal/frame_tables"
    except RuntimeError:  # a user without a home, as in some containers
        return None


def load(origin: Origin) -> bytes | None:
    """Return the content that was stored for a video in this state, or None if there is none."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        record = _file_of(folder, origin).read_bytes()
    except OSError:
        return None
    header = _header(origin)
    checksum, content = record[len(header) : len(header) + 4], record[len(header) + 4 :]
    return content if record.startswith(header) and checksum == _checksum(content) else None


def store(origin: Origin, content: bytes) -> None:
    """Keep the content for a video in this state; a folder that cannot be written is logged, and that is all."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(_file_of(folder, origin), _header(origin) + _checksum(content) + content)
    except OSError as error:
        _warn_once(folder, error.strerror or str(error))


def _replace(path: Path, record: bytes) -> None:
    """Write a file that other processes see as a whole or not at all."""
    partial = part_path(path)
    try:
        with partial.open("xb") as file:  # for whom the umask lets, unlike a file of `tempfile`
            file.write(record)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _file_of(folder: Path, origin: Origin) -> Path:
    return folder / f"{hashlib.sha256(os.fsencode(origin.path)).hexdigest()[:32]}.table"


def _header(origin: Origin) -> bytes:
    decoders = ".".join(map(str, av.library_versions["libavcodec"]))
    return (
        json.dumps([_LAYOUT, f"libavcodec {decoders}", str(origin.path), origin.size, origin.mtime_ns]).encode() + b"\n"
    )


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


@lru_cache(maxsize=16)
def _warn_once(folder: Path, reason: str) -> None:
    _logger.warning(
        "%s: frame tables cannot be kept there (%s), so every process decodes each video once more; "
        "name a folder in STAL_CACHE, or set it to `off`",
        folder,
        reason,
    )
