"""Open the videos of a data set, and record what each decodes to. Imports little: every process does it anew."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stal.checks.frame_images import check_images
from stal.data.processes import ProcessDeath, run_with_progress
from stal.data.video.frame_folder import list_frames
from stal.data.video.frame_table import frame_table
from stal.data.video.reader import frame_rule, video_facts
from stal.errors import StalError

_VIDEOS_PER_PROCESS = 200  # a process takes about as long to start as it takes to open so many


@dataclass(frozen=True)
class VideoRecord:
    """What was seen of a video's file.

    Attributes:
        is_there: whether there is such a file or folder.
        is_opened: whether it was opened, with or without success.
        num_decoded: frames that it decodes to; None if it was not opened, or could not be.
        height, width: size in pixels of a frame as it is shown, after `rotation`.
        rotation: degrees by which frames are turned to be shown.
        num_damaged: frames of which parts were made up by the decoder.
        rule: `order`, `time` or `clamp`: how annotated frames are mapped onto decoded ones; None if none applies.
        problem: why it cannot be opened, or why no rule applies.
    """

    is_there: bool
    is_opened: bool = False
    num_decoded: int | None = None
    height: int | None = None
    width: int | None = None
    rotation: int = 0
    num_damaged: int = 0
    rule: str | None = None
    problem: str | None = None


def find_video(path: Path) -> VideoRecord:
    """Return whether there is a file or folder that can be opened, whatever the path."""
    if not os.path.exists(path):
        return VideoRecord(is_there=False)
    problem = None
    if not os.path.isfile(path) and not os.path.isdir(path):
        problem = f"{path}: neither a file nor a folder of frames"
    elif not os.access(path, os.R_OK):
        problem = f"{path}: it may not be read; check its permissions"
    return VideoRecord(is_there=True, problem=problem)


@dataclass(frozen=True)
class _Job:
    number: int
    path: Path
    num_frames: int


def open_videos(
    paths: Sequence[Path],
    num_frames: Sequence[int],
    numbers: Sequence[int],
    *,
    num_processes: int = 1,
    show_progress: bool = False,
) -> Iterator[tuple[int, VideoRecord]]:
    """Open some videos, and return the number of each with what was seen, as they get done.

    Args:
        paths: of all videos.
        num_frames: annotated lengths.
        numbers: positions of those to open, which are there.
        num_processes: 1 opens them here, where a few are opened in any case.
        show_progress: show a progress bar on the terminal.
    """
    num_processes = min(num_processes, 1 + len(numbers) // _VIDEOS_PER_PROCESS)
    jobs = [_Job(number, paths[number], num_frames[number]) for number in numbers]
    for job, result in run_with_progress(_open, jobs, num_processes, "Opening videos", show_progress):
        if isinstance(result, ProcessDeath):
            problem = f"{job.path}: the process that decoded it died with exit code {result.exit_code}"
            yield job.number, VideoRecord(is_there=True, is_opened=True, problem=problem)
        else:
            yield job.number, result


def _open(job: _Job) -> VideoRecord:
    try:
        if job.path.is_dir():
            check_images(list_frames(job.path))
        facts = video_facts(job.path)
        table = None if job.path.is_dir() else frame_table(job.path)
    except (StalError, OSError) as error:
        return VideoRecord(is_there=True, is_opened=True, problem=str(error))
    rule, problem = None, None
    try:
        rule = frame_rule(job.path, job.num_frames)
    except StalError as error:
        problem = str(error)
    return VideoRecord(
        is_there=True,
        is_opened=True,
        num_decoded=facts.num_frames,
        height=facts.height,
        width=facts.width,
        rotation=0 if table is None else table.rotation,
        num_damaged=0 if table is None else table.num_damaged,
        rule=rule,
        problem=problem,
    )
