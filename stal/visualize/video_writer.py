"""Write frames as they come to an mp4 that browsers play: H.264, 4:2:0, its index first."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from stal.data.formats.whole_file import open_whole
from stal.errors import ConfigError, ShapeError

_TICKS_PER_SECOND = 90_000  # of frames that have times of their own
_OPTIONS = {
    "preset": "veryfast",  # looks 10 frames ahead, so that also large frames take little memory
    "g": "24",  # a slider moves fast
    "bf": "0",  # so that a frame's packet is the next one, and files start at time 0
    "threads": "1",
    "mbtree": "0",  # with it, the bytes differ in about 1 of 100 runs
}


class VideoWriter:
    """Encode frames one after the other, in memory that does not grow with their number.

    >>> with VideoWriter(path, fps=25, size=(240, 320)) as writer:
    ...     for frame in frames:
    ...         writer.write(frame)

    The file is written beside `path` and moved there when it is complete. If the block ends by an error, `path` stays
    as it was.

    Args:
        path: the mp4 file; its folder is made if there is none.
        fps: frames per second; a float stands for the nearest fraction with a denominator up to 1001, such as 30000 /
            1001. Of frames with times of their own, how long the last one is shown.
        size: (height, width) of the frames. Of an odd height or width the last row or column is left out, since colours
            have half the resolution.
        crf: how coarse, from 0, without loss, to 51; 6 more is about half the bytes.

    Raises:
        ConfigError: the rate is not above 0, or the file cannot be written.
        ShapeError: the frames are of less than 2 x 2 pixels.
    """

    def __init__(self, path: str | Path, fps: Fraction | float | int, size: tuple[int, int], *, crf: int = 18) -> None:
        self.path = Path(path)
        self.fps = _as_rate(fps)
        self.size = size
        self._options = _OPTIONS | {"crf": str(crf)}
        self._even = size[0] - size[0] % 2, size[1] - size[1] % 2
        if min(self._even) < 2:
            raise ShapeError(f"{path}: frames of {size[1]} x {size[0]} pixels; a video needs at least 2 x 2")
        self._stack = contextlib.ExitStack()
        self._reformatter = VideoReformatter()
        self._container: OutputContainer
        self._stream: VideoStream
        self._num_frames = 0
        self._last_tick = -1
        self._has_own_times = False

    def __enter__(self) -> VideoWriter:
        with contextlib.ExitStack() as stack:
            part = stack.enter_context(open_whole(self.path)).name
            self._container = stack.enter_context(av.open(part, "w", format="mp4", options={"movflags": "+faststart"}))
            self._stream = self._container.add_stream("libx264", rate=self.fps, options=self._options)
            self._stream.height, self._stream.width = self._even
            self._stream.pix_fmt = "yuv420p"
            context = self._stream.codec_context
            # Written down, or players would take those of large videos for ITU-R BT.709.
            context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if self._num_frames == 0:
                raise ShapeError(f"{self.path}: a video has at least one frame, and none was written")
            self._encode(None)

    def write(self, frame: UInt8[np.ndarray, "H W 3"], seconds: float | None = None) -> None:
        """Append a frame.

        Args:
            frame: RGB, of the writer's size.
            seconds: when the frame is shown first, where the rate is not a fixed one; given for all frames or for none,
                rising, by 1 / 90000 at least. None: the frames last 1 / `fps` each.

        Raises:
            ShapeError: the frame has another size, or its time is missing, not to be there, or not later than the
                last one's.
        """
        if frame.shape[:2] != self.size:
            raise ShapeError(
                f"{self.path}: frame {self._num_frames} has {frame.shape[1]} x {frame.shape[0]} pixels, but the video "
                f"{self.size[1]} x {self.size[0]}"
            )
        if self._num_frames == 0:
            self._has_own_times = seconds is not None
            self._stream.codec_context.time_base = (
                Fraction(1, _TICKS_PER_SECOND) if self._has_own_times else 1 / self.fps
            )
        elif (seconds is not None) != self._has_own_times:
            raise ShapeError(f"{self.path}: frame {self._num_frames}: give the time of every frame, or of none")
        tick = self._num_frames if seconds is None else round(seconds * _TICKS_PER_SECOND)
        if tick <= self._last_tick:
            last = self._last_tick / _TICKS_PER_SECOND
            raise ShapeError(
                f"{self.path}: frame {self._num_frames} is shown at {seconds} s, and the one before at {last:.6f} s; "
                "times are 0 or more and rise"
            )
        height, width = self._even
        rgb = VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
        picture = self._reformatter.reformat(
            rgb, format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG, threads=1
        )
        picture.pts, picture.time_base = tick, self._stream.codec_context.time_base
        self._encode(picture)
        self._num_frames += 1
        self._last_tick = tick

    def _encode(self, picture: VideoFrame | None) -> None:
        """Encode a frame, or what the encoder still holds, and append it to the file."""
        time_base = self._stream.codec_context.time_base
        try:
            for packet in self._stream.encode(picture):
                # The file has the time from each frame to the next, and this for the last.
                packet.duration = max(1, round(1 / (self.fps * time_base)))
                self._container.mux(packet)
        except av.FFmpegError as error:
            raise OSError(error.errno, f"H.264 encoder: {error.strerror}") from error


def _as_rate(fps: Fraction | float | int) -> Fraction:
    if not 0 < fps < float("inf"):
        raise ConfigError(f"{fps} frames per second: the rate of a video is above 0")
    return fps if isinstance(fps, Fraction) else Fraction(fps).limit_denominator(1001)
