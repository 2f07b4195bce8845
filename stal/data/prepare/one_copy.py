"""Copying one video, in whichever process."""

import contextlib
import dataclasses
import errno
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stal.data.prepare.frame_folders import FrameFolders
from stal.data.prepare.manifest import size_of, state_of
from stal.data.prepare.seekable_video import SeekableVideos
from stal.data.video.reader import frame_rule
from stal.errors import StalError, VideoReadError
from stal.structures import Video

CopyKind = FrameFolders | SeekableVideos

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class CopyJob:
    """A video to copy.

    Attributes:
        video: its tubes are not needed.
        kind: of the copy.
        partial: where the copy is made, which must not be there.
    """

    video: Video
    kind: CopyKind
    partial: Path


@dataclass(frozen=True)
class CopyOutcome:
    """What came of it.

    Attributes:
        record: for the manifest, of a copy that is complete; None if there is none.
        error: why not.
        is_disk_full: whether that was for want of space, which other videos will want too.
    """

    record: dict[str, Any] | None
    error: str = ""
    is_disk_full: bool = False


def make_copy(job: CopyJob) -> CopyOutcome:
    """Make a copy; if that fails, nothing is left of it."""
    video = job.video
    source = state_of(video.path)
    try:
        rule = frame_rule(video.path, video.num_frames)
        job.kind.write(video, job.partial)
        if state_of(video.path) != source:
            raise VideoReadError(f"{video.path}: was changed while it was copied; run this again")
        settings, size = settings_of(video, job.kind), size_of(job.partial)
        return CopyOutcome({"key": video.key, "source": source, "settings": settings, "copy": size, "rule": rule})
    except StalError as error:
        remove(job.partial)
        return CopyOutcome(None, str(error))
    except OSError as error:
        remove(job.partial)
        return failed_write(video, error)


def failed_write(video: Video, error: OSError) -> CopyOutcome:
    """Return the outcome for a copy that could not be written."""
    return CopyOutcome(None, f"video {video.key}: its copy cannot be written ({error})", error.errno in _DISK_FULL)


def settings_of(video: Video, kind: CopyKind) -> dict[str, Any]:
    """Return all that a copy depends on besides its source."""
    annotated = {name: getattr(video, name) for name in ("num_frames", "height", "width", "fps")}
    return dataclasses.asdict(kind) | annotated


def remove(path: Path) -> None:
    """Remove a partial copy, if there is one, as far as that can be done: nobody reads what is left of it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
