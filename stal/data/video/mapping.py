"""How the annotated frames of a video map onto the frames that it decodes to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64

from stal.data.video.frame_table import FrameTable
from stal.errors import VideoReadError

Damaged = Literal["error", "keep"]
"""What to do with a video of which annotated frames are lost: refuse it, or give what there is."""

MAX_CLAMPED_FRAMES = 2
_LONG_STEP = 1.5  # times the usual one: a frame may be missing there; times in milliseconds vary by less
_MAX_LONG_STEPS = 0.1  # of all steps; with more, frames have no fixed rate
# Frames before lost data that may be broken or have another number too: its decoder may notice late, and where frames
# are stored in another order than they are shown in, those around a lost one come out in another order.
_MARGIN, _MARGIN_REORDERED = 1, 16


@dataclass(frozen=True, eq=False)
class FrameMap:
    """Which decoded frame is shown for each annotated frame.

    Attributes:
        rule: `order`, `time`, `clamp` or `cut`, see `map_frames`.
        ordinals: (N,) the decoded frame for each annotated one.
        num_readable: leading annotated frames that are in the file; the last of them stands in for those behind.
    """

    rule: str
    ordinals: Int64[np.ndarray, " N"]
    num_readable: int


def map_frames(table: FrameTable, num_frames: int, source: Path, damaged: Damaged = "error") -> FrameMap:
    """Map the annotated frames of a video onto the frames that it decodes to.

    Some files hold packets that decode to nothing: they decode to fewer frames than the annotators saw, who were
    shown the previous frame in its place, and the presentation times have a gap there::

        packet      0   1   2   -   4        5 annotated frames
        decoded     0   1   2       3        4 decoded frames, at times 0 1 2 4
        annotated   0   1   2   2   3        the decoded frame for each annotated one

    The rules, in this order:

    - `order`: as many frames decode as are annotated; frame i is the i-th.
    - `time`: the times rise in whole frame periods and span as many as are annotated; frame i is the one shown then.
      Nothing is known to be broken in the file.
    - `clamp`: the last one or two frames are missing; the last sound frame stands in for them.
    - `cut`, only to keep what a damaged file holds: the last frame of which it is sure that it is the i-th stands in
      for all behind it. Frames are sure up to the end of the file, to the first that is damaged, or to the first that
      comes after lost data or a gap in time, less a margin.

    Args:
        table: the frames that the video decodes to.
        num_frames: annotated number of frames.
        source: the video, for the error.
        damaged: whether to refuse a video that no other rule explains, or to cut it.

    Raises:
        VideoReadError: no rule applies.
    """
    num_decoded = len(table)
    if num_decoded == num_frames:
        return FrameMap("order", np.arange(num_frames), num_frames)
    steps = np.diff(table.times)
    is_rising = num_decoded > 1 and table.has_rising_times
    if is_rising and table.damage is None:
        slots = (table.times - table.times[0]) // np.gcd.reduce(steps)
        if slots[-1] + 1 == num_frames:
            shown = np.searchsorted(slots, np.arange(num_frames), side="right") - 1
            return FrameMap("time", shown, num_frames)
    if num_decoded < num_frames:
        num_sure = min(table.num_sound, _num_before_gap(steps) if is_rising else num_decoded)
        if num_sure > 0 and num_frames - num_sure <= MAX_CLAMPED_FRAMES:
            return _hold("clamp", num_sure, num_frames)
        num_sure -= _MARGIN_REORDERED if table.has_b_frames else _MARGIN
        if damaged == "keep" and num_sure > 0:
            return _hold("cut", num_sure, num_frames)
    raise VideoReadError(f"{source}: {_describe_difference(table, num_frames)}")


def _hold(rule: str, num_readable: int, num_frames: int) -> FrameMap:
    """Take the frames by their order, and the last readable one for those behind."""
    return FrameMap(rule, np.arange(num_frames).clip(max=num_readable - 1), num_readable)


def _num_before_gap(steps: Int64[np.ndarray, " S"]) -> int:
    """Return the number of frames before the first gap in times that have a fixed rate elsewhere, else of all."""
    is_long = steps > _LONG_STEP * np.median(steps)
    return int(is_long.argmax()) + 1 if 0 < is_long.mean() <= _MAX_LONG_STEPS else len(steps) + 1


def _describe_difference(table: FrameTable, num_frames: int) -> str:
    """Say what is wrong with a video that decodes to another number of frames than are annotated."""
    text = f"{len(table)} frames decode, but {num_frames} are annotated, and their times do not explain the difference"
    if table.damage:
        text += f" ({table.damage}); download the file again"
    else:
        text += ": is the file cut off or re-encoded? Download it again, or correct the annotated number of frames"
    return text
