"""Whether the frames of tubes are those of their videos: counted from 0, in order, and not beyond the end."""

import numpy as np
from jaxtyping import Int64

from stal.checks.annotation_table import AnnotationTable
from stal.checks.counted import found_boxes
from stal.checks.finding import Finding

_MIN_TUBES = 3  # so many that start at frame 1, and none at 0, are no chance; nor are so many that end one too late
_FIX_BASE = "frames count from 0 here: subtract 1 from them where they are read"


def check_frames(table: AnnotationTable) -> list[Finding]:
    """Return what is wrong with the frames of tubes."""
    findings = [*_negative(table), *_disordered(table)]
    if frames_are_1_based(table):
        return [*findings, *_one_based(table)]
    return [*findings, *_beyond(table), *_perhaps_1_based(table)]


def frames_beyond(table: AnnotationTable) -> Int64[np.ndarray, " R"]:
    """Return by how many frames each row is behind the last frame of its video; below 1 for those that are not.

    A video whose length is not positive is at fault itself, and not its frames.
    """
    num_frames = table.num_frames[table.video_of_row]
    return np.where(num_frames > 0, table.frames - (num_frames - 1), 0)


def frames_may_be_1_based(table: AnnotationTable) -> bool:
    """Whether several tubes start at frame 1 and none before it, so that frames may be counted from 1."""
    return bool(table.frames.min(initial=1) == 1) and len(_starts_at_1(table)) >= _MIN_TUBES


def frames_are_1_based(table: AnnotationTable) -> bool:
    """Whether all speaks for frames that start at 1.

    No frame is less than 1 and none more than one too many, and several tubes start at 1 and end one frame too late; or
    fewer, where all videos have tubes from frame 1 on that end one frame too late.
    """
    if not len(table.frames) or table.frames.min() != 1 or frames_beyond(table).max() != 1:
        return False
    too_late = frames_beyond(table) == 1
    if frames_may_be_1_based(table) and len(np.unique(table.tube_of_row[too_late])) >= _MIN_TUBES:
        return True
    annotated = np.unique(table.video_of_row)
    started, ended = (np.unique(table.video_of_row[rows]) for rows in (table.frames == 1, too_late))
    return np.array_equal(started, annotated) and np.array_equal(ended, annotated)


def _starts_at_1(table: AnnotationTable) -> Int64[np.ndarray, " N"]:
    return np.flatnonzero(~table.follows & (table.frames == 1))


def _one_based(table: AnnotationTable) -> list[Finding]:
    return found_boxes(
        table,
        np.flatnonzero(frames_beyond(table) == 1),
        "error",
        "frames-1-based",
        "exactly one frame behind the last one, while none is on frame 0, as all frames are that count from 1",
        f"{_FIX_BASE} (--fix does it if all videos decode to what is annotated)",
        value_of=lambda row: _of_frames(table, row),
    )


def _beyond(table: AnnotationTable) -> list[Finding]:
    beyond = frames_beyond(table)
    return found_boxes(
        table,
        np.flatnonzero(beyond > 0),
        "error",
        "frames-beyond-video",
        "behind the last frame of their video",
        "correct num_frames, or the frames: were they counted at another frame rate? "
        "(--fix cuts tubes that are one or two frames too long, of videos that decode to what is annotated)",
        more=f", by {beyond.max(initial=0):,} frames at most",
        value_of=lambda row: _of_frames(table, row),
    )


def _perhaps_1_based(table: AnnotationTable) -> list[Finding]:
    """Return a doubt where tubes start at frame 1 and none at 0, although not all that ends speaks for it."""
    if not frames_may_be_1_based(table):
        return []
    return found_boxes(
        table,
        _starts_at_1(table),
        "warning",
        "frames-perhaps-1-based",
        f"the first of their tube and on frame 1, while none is on frame 0, of {len(table.tube_videos):,} tubes",
        f"look at first frames of tubes in the page: if the boxes lag by one, {_FIX_BASE}",
        value_of=lambda row: _of_frames(table, row),
    )


def _negative(table: AnnotationTable) -> list[Finding]:
    return found_boxes(
        table,
        np.flatnonzero(table.frames < 0),
        "error",
        "frames-negative",
        "on frames below 0",
        "frames count from 0: was 1 subtracted from frames that do already?",
        more=f", down to {table.frames.min(initial=0):,}",
    )


def _disordered(table: AnnotationTable) -> list[Finding]:
    return found_boxes(
        table,
        np.flatnonzero(table.follows & (table.frame_steps <= 0)),
        "error",
        "frames-disordered",
        "on a frame that does not come after the one before it in the tube",
        "sort the frames of every tube, and make two of a tube that has two boxes on a frame",
        value_of=lambda row: f"after frame {table.frames[row - 1]}",
    )


def _of_frames(table: AnnotationTable, row: int) -> str:
    return f"the video has {table.videos[table.video_of_row[row]].num_frames:,} frames"
