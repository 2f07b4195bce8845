"""Files that are written as a whole or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stal.errors import ConfigError, StalError

_MAX_NAME_BYTES = 255
_CANNOT_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOTSUP}  # of file systems that know this of files alone


@contextmanager
def open_whole(path: str | Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which stands at `path` when all is written; if that fails, `path` stays as it was.

    Args:
        path: the file; its folder is made if there is none.

    Raises:
        ConfigError: there is a folder or a device of this name, or it cannot be written.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: this is a folder or a device; name a file to write")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            yield file
    except StalError:  # of these, too, some are an OSError
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); name another file, or make room") from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of `path` once all of it is on the disk.

    The system may lose power at any moment: then there is the old file or the new one, whole.

    Args:
        path: the file; its folder is there.

    Raises:
        OSError: it cannot be written; `path` stays as it was.
    """
    part = part_path(path)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # its list of names, too, is on the disk only then
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(folder)


def part_path(path: Path) -> Path:
    """Return where a file is to stand while it is written, `<name>.<random>.part`: no two writers have one name.

    A writer that is killed leaves it behind. It is never read.
    """
    ending = f".{secrets.token_hex(8)}.part"  # so many that processes of all machines draw different ones
    name = os.fsencode(path.name)[: _MAX_NAME_BYTES - len(ending)]
    return path.with_name(os.fsdecode(name) + ending)
