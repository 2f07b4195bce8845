"""Checkpoint files that are whole or not there, and say themselves whether they are as they were written.

A checkpoint of torch is a zip archive, and an archive may end with a comment, which torch skips: the comment of ours
is the digest of all that stands before it. torch itself looks at no checksum when it opens an archive.
"""

import hashlib
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from mmengine.fileio import LocalBackend, register_backend

from stal.data.formats.whole_file import replacing
from stal.errors import CheckpointError

LAST_CHECKPOINT = "last_checkpoint"
"""File of a work directory that names its last checkpoint."""

SEALED_BACKEND = "stal.sealed"
"""The name of the file backend with which mmengine writes sealed checkpoints."""

_MARK = b"stal sha256 "
_SEAL_BYTES = len(_MARK) + 2 * hashlib.sha256().digest_size
_BLOCK_BYTES = 1 << 20
_COMMENT_LENGTH = struct.Struct("<H")  # the last field of an archive, 0 as torch writes it
_BROKEN_ARCHIVE = (
    zipfile.BadZipFile, struct.error, ValueError, LookupError, EOFError, RuntimeError, NotImplementedError, OSError,
)  # fmt: skip


def write_checkpoint(archive: bytes, path: Path) -> None:
    """Write a checkpoint with its digest, and read it back before it takes the place of what stood at `path`.

    Args:
        archive: what `torch.save` made.
        path: of the file.

    Raises:
        CheckpointError: it cannot be written, or is not read as it was written; `path` is as it was.
    """
    body, comment_length = memoryview(archive)[: -_COMMENT_LENGTH.size], _COMMENT_LENGTH.pack(_SEAL_BYTES)
    digest = hashlib.sha256(body)
    digest.update(comment_length)
    try:
        with replacing(path) as file:
            file.write(body)
            file.write(comment_length + _MARK + digest.hexdigest().encode())
            _send_to_disk(file)
            check_file(Path(file.name))
    except CheckpointError as error:
        raise CheckpointError(
            f"checkpoint {path} is not read back as it was written ({error}): is the disk failing?"
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be written ({error.strerror}); those before it are as they were: make room, or "
            "make the folder writable, and go on with --resume"
        ) from error


def check_file(path: Path) -> None:
    """Raise a CheckpointError if a checkpoint file is not as it was written.

    A file of another program, without our digest, is held against the checksums of its parts, if it is an archive.
    """
    with path.open("rb") as file:
        body_bytes = os.fstat(file.fileno()).st_size - _SEAL_BYTES
        if body_bytes > 0:
            digest = _digest_of(file, body_bytes)
            seal = file.read()
            if seal.startswith(_MARK):
                if seal != _MARK + digest:
                    raise CheckpointError(f"checkpoint {path} is broken: it was altered since it was written")
                return
        file.seek(0)
        if file.read(4) == b"PK\x03\x04":
            _check_archive(path, file)


def _digest_of(file: BinaryIO, num_bytes: int) -> bytes:
    """Return the digest of so many bytes of a file, from its start, in the form of a seal."""
    digest = hashlib.sha256()
    for start in range(0, num_bytes, _BLOCK_BYTES):
        digest.update(file.read(min(_BLOCK_BYTES, num_bytes - start)))
    return digest.hexdigest().encode()


def _check_archive(path: Path, file: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            altered = archive.testzip()
            (comment_bytes,) = _COMMENT_LENGTH.unpack(_read_before_comment(file, len(archive.comment)))
            if comment_bytes != len(archive.comment):
                raise zipfile.BadZipFile("its comment is cut off")
    except _BROKEN_ARCHIVE as error:
        raise CheckpointError(
            f"checkpoint {path} is broken or cut short ({error}); use an earlier one, or get it again"
        ) from error
    if altered is not None:
        raise CheckpointError(f"checkpoint {path} is broken: its part {altered} was altered since it was written")


def _read_before_comment(file: BinaryIO, comment_bytes: int) -> bytes:
    file.seek(-comment_bytes - _COMMENT_LENGTH.size, os.SEEK_END)
    return file.read(_COMMENT_LENGTH.size)


def _send_to_disk(file: BinaryIO) -> None:
    """Wait until all is on the disk, and forget what the system keeps of it in memory, so that the disk is read."""
    file.flush()
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):  # not on macOS
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@register_backend(SEALED_BACKEND, force=True)
class SealedBackend(LocalBackend):
    """mmengine's way to local files, whose `put` seals a checkpoint."""

    def put(self, obj: bytes | memoryview, filepath: Any) -> None:
        """Write the checkpoint `obj` to the path `filepath`."""
        write_checkpoint(bytes(obj), Path(filepath))
