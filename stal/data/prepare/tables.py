"""The frame tables of a whole data set, built in parallel, so that training does not wait for them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from stal.data.processes import ProcessDeath, run_with_progress
from stal.data.video.reader import frame_rule
from stal.errors import StalError
from stal.structures import Video


@dataclass(frozen=True)
class TableReport:
    """What the frame tables of some videos say.

    Attributes:
        rules: how the annotated frames of a video are mapped onto those that decode (`map_frames`), by its key.
        bad: why there is no such rule, by the key of the video.
    """

    rules: dict[str, str]
    bad: dict[str, str]


def build_tables(videos: Sequence[Video], num_processes: int = 1, show_progress: bool = False) -> TableReport:
    """Build the frame tables of videos, which are kept on disk (`stal.data.video.table_cache`).

    Args:
        videos: to decode once, unless their tables are there.
        num_processes: that do it.
        show_progress: show a bar on a terminal.
    """
    jobs = [dataclasses.replace(video, tubes=()) for video in videos]
    rules, bad = {}, {}
    for video, found in run_with_progress(_find_rule, jobs, num_processes, "Frame tables", show_progress):
        if isinstance(found, ProcessDeath):
            bad[video.key] = f"{video.path}: {found}"
        elif found.rule is None:
            bad[video.key] = found.error
        else:
            rules[video.key] = found.rule
    return TableReport(rules, bad)


@dataclass(frozen=True)
class _Found:
    rule: str | None
    error: str = ""


def _find_rule(video: Video) -> _Found:
    try:
        return _Found(frame_rule(video.path, video.num_frames))
    except StalError as error:
        return _Found(None, str(error))
