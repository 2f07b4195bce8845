"""All frames of a video, one after the other, however long it is, and when they are shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from jaxtyping import Float64, UInt8

from stal.data.video.clock import shown_times
from stal.data.video.frame_folder import folder_table, read_folder
from stal.data.video.frame_table import FrameTable, frame_table
from stal.data.video.pyav_backend import iterate_decoded, to_rgb
from stal.errors import DataNotFoundError, VideoReadError

_DEFAULT_FPS = Fraction(25)
_MIN_FPS, _MAX_FPS = 0.01, 1000.0  # what a file tells beyond these is no rate
_ROUNDING_SECONDS = 0.00102  # of times that are kept in milliseconds, that of the first frame too


@dataclass(frozen=True, eq=False)
class StreamedVideo:
    """A video whose frames are read in order.

    Attributes:
        path: the video file, or the folder of its frames.
        num_frames: frames that it decodes to.
        height, width: size in pixels of a frame as it is shown.
        fps: frames per second; of frames that have no fixed rate, by the usual step from one to the next; 25 if the
            file does not tell.
        has_fixed_rate: whether frame i is shown at i / `fps` seconds.
        seconds: (N,) when each frame is shown, from the first on.
    """

    path: Path
    num_frames: int
    height: int
    width: int
    fps: Fraction
    has_fixed_rate: bool
    seconds: Float64[np.ndarray, " N"]

    def frames(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Decode the frames in one pass that holds one frame at a time.

        They equal those of `read_frames(path, range(num_frames))`.

        Yields:
            The frames, RGB, turned as the file says that they are to be shown.

        Raises:
            VideoReadError: a frame cannot be decoded, or has another size than the first.
        """
        reformatter, table = VideoReformatter(), whole_table(self.path)
        for frame in iterate_stored(self.path, table):
            yield np.ascontiguousarray(to_rgb(frame, reformatter, table.rotation))


def open_stream(path: str | Path) -> StreamedVideo:
    """Return a video to be read in order.

    Args:
        path: a video file, or a folder of frames.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded, or breaks off.
    """
    path = Path(path)
    if not path.exists():
        raise DataNotFoundError(f"{path}: there is no such video; check its name")
    table = whole_table(path)
    fps, has_fixed_rate, seconds = _frame_rate(table)
    return StreamedVideo(path, len(table), table.height, table.width, fps, has_fixed_rate, seconds)


def whole_table(path: Path) -> FrameTable:
    """Return the frame table of a file or folder whose decoding does not break off.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded, or breaks off.
    """
    table = folder_table(path) if path.is_dir() else frame_table(path)
    if table.failure is not None:
        raise VideoReadError(f"{path}: {table.failure}; download the file again, or re-encode it")
    return table


def iterate_stored(path: Path, table: FrameTable) -> Iterator[VideoFrame]:
    """Decode all frames of a file or folder in the colours that it has them in, and not turned."""
    return _iterate_folder(path, table) if path.is_dir() else iterate_decoded(path, table)


def _iterate_folder(folder: Path, table: FrameTable) -> Iterator[VideoFrame]:
    for ordinal in range(len(table)):
        (image,) = read_folder(folder, table, np.array([ordinal]))
        yield VideoFrame.from_ndarray(image, format="rgb24")


def _frame_rate(table: FrameTable) -> tuple[Fraction, bool, Float64[np.ndarray, " N"]]:
    """Return `fps`, `has_fixed_rate` and `seconds` of a video."""
    told = _as_fraction(table.fps) if table.fps and _MIN_FPS <= table.fps <= _MAX_FPS else None
    times, tick = shown_times(table), table.seconds_per_tick
    if times is None or tick is None or len(times) < 2:
        rate = told or _DEFAULT_FPS
        return rate, True, np.arange(len(table)) / float(rate)
    steps = np.diff(times)
    if (steps == steps[0]).all():
        rate = _as_fraction(1 / (steps[0] * tick))
        return rate, True, np.arange(len(table)) / float(rate)
    seconds = (times - times[0]) * tick
    if told is not None:
        even = np.arange(len(table)) / float(told)
        if np.abs(even - seconds).max() <= _ROUNDING_SECONDS:
            return told, True, even
    return _as_fraction(1 / (float(np.median(steps)) * tick)), False, seconds


def _as_fraction(fps: float) -> Fraction:
    return max(Fraction(fps).limit_denominator(1001), Fraction(1, 1001))  # finds 30000 / 1001 again
