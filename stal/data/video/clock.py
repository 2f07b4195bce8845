"""Which frame a video shows at a point in time: for annotations that stand on seconds."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from stal.data.video.av_file import NO_TIME
from stal.data.video.frame_table import FrameTable
from stal.errors import VideoReadError

MAX_FRAME = 2**31
"""Stands for every frame that is later still, in any video."""

_ROUNDING_SECONDS = 0.00051  # players tell the time in milliseconds, and some files keep it so


def frames_at(
    table: FrameTable, seconds: Float64[np.ndarray, " N"], fps: float | None, source: Path
) -> tuple[Int64[np.ndarray, " N"], int]:
    """Return the frames that a video shows at points in time, and how many frames it has in that count.

    That is the last frame that has begun, or begins within half a millisecond. Where times rise at a fixed rate but for
    gaps, frames are counted as the rule `time` of `stal.data.video.mapping` does, with those that decode to nothing;
    elsewhere in the order in which they decode. Times behind the end are frames behind the last one, -1 is before the
    first.

    Args:
        table: the frames that the video decodes to.
        seconds: from the start of the first frame on.
        fps: frames per second, used where frames have no times that tell them apart.
        source: the video, for the error.

    Raises:
        VideoReadError: the frames have no such times, and `fps` is not given.
    """
    times, tick = shown_times(table), table.seconds_per_tick
    if times is None or tick is None or len(times) < 2:
        fps = fps or (table.fps if len(table) == 1 else None)
        if fps is None:
            raise VideoReadError(
                f"{source}: its frames have no rising times, which tell the frame at a time; give its rate (--fps), or "
                "re-encode it (tools/prepare_data.py)"
            )
        return frames_at_rate(seconds, fps), len(table)
    ticks, begins = (seconds + _ROUNDING_SECONDS) / tick, times - times[0]
    period = _period(table)
    if period is not None:
        return _as_frames(ticks / period), int(begins[-1]) // period + 1
    behind = np.floor((ticks - begins[-1]) / np.diff(times).max()).clip(min=0)  # the last frame may be a long one
    return _as_frames(np.searchsorted(begins, ticks, side="right") - 1 + behind), len(table)


def frames_at_rate(seconds: Float64[np.ndarray, " N"], fps: float) -> Int64[np.ndarray, " N"]:
    """Return the frames that are shown at points in time if they have a fixed rate."""
    return _as_frames((seconds + _ROUNDING_SECONDS) * fps)


def count_slots(table: FrameTable) -> int:
    """Return how many frames a video lasts for: those that decode, and if it has a fixed rate, those in its gaps."""
    times, period = shown_times(table), _period(table)
    return len(table) if times is None or period is None else int(times[-1] - times[0]) // period + 1


def _period(table: FrameTable) -> int | None:
    """Return the ticks from a frame to the next of a video with a fixed rate, of which nothing is known to be broken.

    All steps are whole periods then, and most are one. So it is not in a file that rounds its times.
    """
    times = shown_times(table)
    if times is None or len(times) < 2 or table.damage is not None:
        return None
    steps = np.diff(times)
    period = int(np.gcd.reduce(steps))
    return period if np.median(steps) == period else None


def shown_times(table: FrameTable) -> Int64[np.ndarray, " N"] | None:
    """Return the times at which frames are shown, in their order, or None if these are not known.

    An avi with B-frames gives frames the times of others. If all of them together have a fixed rate without a gap, then
    the first frame has the first of them, and so on.
    """
    if NO_TIME in table.times:
        return None
    if table.has_rising_times:
        return table.times
    times = np.sort(table.times)
    return times if len(np.unique(np.diff(times))) == 1 and times[0] < times[1] else None


def _as_frames(places: Float64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    return np.floor(places).clip(-1, MAX_FRAME).astype(np.int64)
