"""Decode frames with FFmpeg through PyAV: of every file that FFmpeg reads."""

from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from jaxtyping import Int64, UInt8

from stal.data.video.av_file import open_video, time_of
from stal.data.video.frame_table import FrameTable
from stal.errors import VideoReadError


def decode(path: Path, table: FrameTable, ordinals: Int64[np.ndarray, " T"]) -> UInt8[np.ndarray, "T H W 3"]:
    """Decode the frames `ordinals` (rising), seeking where that is safe.

    Raises:
        VideoReadError: the frames are not those of the table.
    """
    start = table.key_frame_before(int(ordinals[0])) if table.is_seekable else 0
    frames = _decode_pass(path, table, ordinals, start)
    if frames is None and start > 0:  # the seek landed elsewhere
        frames = _decode_pass(path, table, ordinals, 0)
    if frames is None:
        raise VideoReadError(f"{path}: its frames differ from those of its first reading; has the file been changed?")
    return frames


def _decode_pass(
    path: Path, table: FrameTable, ordinals: Int64[np.ndarray, " T"], start: int
) -> UInt8[np.ndarray, "T H W 3"] | None:
    """Decode from the frame `start` on; return None as soon as a frame is not the one that the table has there."""
    frames = np.empty((len(ordinals), table.height, table.width, 3), dtype=np.uint8)
    reformatter = VideoReformatter()
    row = 0
    with open_video(path) as (container, stream):
        if start > 0:
            container.seek(int(table.times[start]), stream=stream)
        for ordinal, frame in enumerate(container.decode(stream), start):
            if ordinal == len(table) or time_of(frame) != table.times[ordinal]:
                return None
            if ordinal == ordinals[row]:
                rgb = np.rot90(_to_rgb(frame, reformatter), table.rotation // 90)
                if rgb.shape[:2] != (table.height, table.width):
                    raise VideoReadError(
                        f"{path}: frame {ordinal} has {rgb.shape[1]} x {rgb.shape[0]} pixels, but frame 0 has "
                        f"{table.width} x {table.height}; the frames of a video have one size: re-encode it"
                    )
                frames[row] = rgb
                row += 1
                if row == len(ordinals):
                    return frames
    return None


def _to_rgb(frame: VideoFrame, reformatter: VideoReformatter) -> UInt8[np.ndarray, "H W 3"]:
    """Convert a decoded frame; where its rows have no padding, the pixels are FFmpeg's own."""
    # Left to choose, the conversion starts a thread per core, which takes longer than a small frame itself.
    rgb = reformatter.reformat(frame, format="rgb24", threads=1)
    (plane,) = rgb.planes
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(
        -1, plane.line_size
    )  # which may be longer than the pixels
    return rows[: rgb.height, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)
