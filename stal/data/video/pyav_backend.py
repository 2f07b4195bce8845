"""Decode frames with FFmpeg through PyAV: of every file that FFmpeg reads."""

import contextlib
from collections.abc import Generator
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from jaxtyping import Int64, UInt8

from stal.data.video.av_file import open_video, time_of
from stal.data.video.frame_table import FrameTable
from stal.errors import VideoReadError


class OtherFrameError(VideoReadError):
    """A frame that is not the one that the frame table has in its place."""


def decode(path: Path, table: FrameTable, ordinals: Int64[np.ndarray, " T"]) -> UInt8[np.ndarray, "T H W 3"]:
    """Decode the frames `ordinals` (rising), seeking where that is safe.

    Raises:
        VideoReadError: the frames are not those of the table.
    """
    start = table.key_frame_before(int(ordinals[0])) if table.is_seekable else 0
    try:
        return _decode_pass(path, table, ordinals, start)
    except OtherFrameError:
        if start == 0:
            raise
    return _decode_pass(path, table, ordinals, 0)  # the seek landed elsewhere


def _decode_pass(
    path: Path, table: FrameTable, ordinals: Int64[np.ndarray, " T"], start: int
) -> UInt8[np.ndarray, "T H W 3"]:
    """Decode from the frame `start` on, and keep the frames `ordinals`."""
    frames = np.empty((len(ordinals), table.height, table.width, 3), dtype=np.uint8)
    reformatter = VideoReformatter()
    row = 0
    with contextlib.closing(iterate_decoded(path, table, start)) as decoded:
        for ordinal, frame in enumerate(decoded, start):
            if ordinal == ordinals[row]:
                frames[row] = to_rgb(frame, reformatter, table.rotation)
                row += 1
                if row == len(ordinals):
                    break
    return frames


def iterate_decoded(path: Path, table: FrameTable, start: int = 0) -> Generator[VideoFrame, None, None]:
    """Decode from the frame `start` on to the end, as the file has its frames: neither converted nor turned.

    Raises:
        OtherFrameError: a frame is not the one that the table has in its place, or is missing.
        VideoReadError: a frame has another size than the first.
    """
    height, width = (table.width, table.height) if table.rotation % 180 else (table.height, table.width)
    ordinal = start
    with open_video(path) as (container, stream):
        if start > 0:
            container.seek(int(table.times[start]), stream=stream)
        for frame in container.decode(stream):
            if ordinal == len(table) or time_of(frame) != table.times[ordinal]:
                raise _other_frame(path)
            if (frame.height, frame.width) != (height, width):
                raise VideoReadError(
                    f"{path}: frame {ordinal} has {frame.width} x {frame.height} pixels, but frame 0 has "
                    f"{width} x {height}; the frames of a video have one size: re-encode it"
                )
            yield frame
            ordinal += 1
    if ordinal < len(table):
        raise _other_frame(path)


def to_rgb(frame: VideoFrame, reformatter: VideoReformatter, rotation: int) -> UInt8[np.ndarray, "H W 3"]:
    """Convert a decoded frame, and turn it by `rotation` degrees counterclockwise, a multiple of 90.

    The pixels are FFmpeg's own, without a copy: the array is not contiguous if they are turned, or rows have padding.
    """
    # Left to choose, the conversion starts a thread per core, which takes longer than a small frame itself.
    rgb = reformatter.reformat(frame, format="rgb24", threads=1)
    (plane,) = rgb.planes
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return np.rot90(rows[: rgb.height, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3), rotation // 90)


def _other_frame(path: Path) -> OtherFrameError:
    return OtherFrameError(
        f"{path}: its frames are not those of its frame table; if the file was replaced by one of the same size and "
        "time of change, `touch` it, and a new table is made"
    )
