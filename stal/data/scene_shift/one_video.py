"""Making one shifted video, in whichever process."""

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import av

from stal.data.prepare.seekable_video import frame_rate
from stal.data.scene_shift.compose import shifted_frames
from stal.data.scene_shift.donors import random_source
from stal.data.scene_shift.encode import write_video
from stal.data.scene_shift.kinds import Kind, MaskKind
from stal.errors import StalError
from stal.structures import Video


@dataclass(frozen=True)
class ShiftJob:
    """A video to make.

    Attributes:
        video: the source.
        donor: lends its scene; None if the kind needs none.
        kind: what to make.
        mask: by what actors are cut out and removed.
        seed: of all chance.
        path: where the video goes.
    """

    video: Video
    donor: Video | None
    kind: Kind
    mask: MaskKind
    seed: int
    path: Path


@dataclass(frozen=True)
class ShiftOutcome:
    """What came of it.

    Attributes:
        source_sha256: of the source; None if there is no video.
        donor_sha256: of the donor; None if there is none.
        failure: why there is no video; None if there is one.
    """

    source_sha256: str | None = None
    donor_sha256: str | None = None
    failure: str | None = None


def make_video(job: ShiftJob) -> ShiftOutcome:
    """Make a shifted video; if that fails, nothing is left of it."""
    video = job.video
    frames = shifted_frames(video, job.kind, job.mask, job.donor, random_source(job.seed, video.key))
    try:
        job.path.parent.mkdir(parents=True, exist_ok=True)
        write_video(job.path, frames, video.height, video.width, frame_rate(video))
        donor_sha256 = None if job.donor is None else sha256_of(job.donor.path)
        return ShiftOutcome(sha256_of(video.path), donor_sha256)
    except StalError as error:
        failure = str(error)
    except (OSError, av.FFmpegError) as error:
        failure = f"video {video.key}: cannot be written ({error})"
    with contextlib.suppress(OSError):
        job.path.unlink(missing_ok=True)
    return ShiftOutcome(failure=failure)


def sha256_of(path: Path) -> str:
    """Return the checksum of a file, or of the files of a folder after each other, in the order of their names.

    Raises:
        OSError: it cannot be read.
    """
    files = sorted(entry for entry in path.iterdir() if entry.is_file()) if path.is_dir() else [path]
    checksum = hashlib.sha256()
    for file in files:
        checksum.update(file.read_bytes())
    return checksum.hexdigest()
