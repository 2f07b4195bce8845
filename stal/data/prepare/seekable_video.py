"""Copies of videos that are quick to read from anywhere: H.264 without B-frames that starts anew every few frames."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import ClassVar

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from stal.data.prepare.all_frames import iterate_annotated
from stal.data.prepare.verification import verify_copy
from stal.data.video.pyav_backend import to_rgb
from stal.data.video.reader import video_facts
from stal.errors import AnnotationError, ConfigError
from stal.structures import Video

_DEFAULT_FPS = 25.0
_MIN_FPS, _MAX_FPS = 0.01, 1000.0


@dataclass(frozen=True)
class SeekableVideos:
    """Every annotated frame as a frame of `videos/<key>.mp4`.

    Such a file has one frame period, no rotation and no sound, and groups of pictures that are closed and of one
    length. Colours have half the resolution (4:2:0), as in nearly all videos, unless the source has more of them, or a
    side is odd and cannot be halved: then they are whole (4:4:4). The size of a frame never changes.

    Attributes:
        crf: constant rate factor of x264, 0 to 51; lower is better and larger.
        group_size: frames from one key frame to the next; a read decodes fewer frames than that in vain.
    """

    crf: int = 18
    group_size: int = 12

    name: ClassVar[str] = "mp4"

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ConfigError(
                f"quality {self.crf}: the constant rate factor of x264 is 0 (best) to 51; the default is 18"
            )
        if self.group_size < 1:
            raise ConfigError(f"{self.group_size} frames from key frame to key frame: at least 1; the default is 12")

    def place(self, key: str) -> PurePosixPath:
        """Return where the copy of a video goes, below the folder of all copies."""
        return PurePosixPath("videos", f"{key}.mp4")

    def write(self, video: Video, path: Path) -> None:
        """Encode the annotated frames of `video` into the file `path`, and compare them with their source.

        Raises:
            StalError: the video cannot be read, or the file does not hold its frames.
            OSError: the file cannot be written.
        """
        try:
            self._encode(video, path)
        except av.FFmpegError as error:
            raise OSError(error.errno, f"libx264: {error.strerror}") from error
        verify_copy(video, path, self.group_size)

    def _encode(self, video: Video, path: Path) -> None:
        rate = frame_rate(video)
        frames = _frames_to_encode(video)
        first = next(frames)
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=rate, options=self._x264_options())
            stream.height, stream.width, stream.pix_fmt = first.height, first.width, first.format.name
            context = stream.codec_context
            context.colorspace, context.color_range = first.colorspace, first.color_range
            context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
            for index, frame in enumerate(itertools.chain([first], frames)):
                frame.pts, frame.time_base = index, 1 / rate
                frame.pict_type = PictureType.NONE  # that of the source would be kept
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    def _x264_options(self) -> dict[str, str]:
        group_size = str(self.group_size)
        return {
            "preset": "veryfast",
            "tune": "fastdecode",  # decodes in two thirds of the time, for a tenth more bytes
            "crf": str(self.crf),
            "g": group_size,
            "keyint_min": group_size,
            "sc_threshold": "0",  # no further key frames
            "bf": "0",
            "threads": "1",
            "mbtree": "0",  # with it, the bytes differ in about 1 of 100 runs
        }


def frame_rate(video: Video) -> Fraction:
    """Return the annotated frames per second, else those that the file tells, else 25."""
    fps = video.fps
    if fps is None:
        told = video_facts(video.path).fps
        fps = told if told is not None and _MIN_FPS <= told <= _MAX_FPS else _DEFAULT_FPS
    if not _MIN_FPS <= fps <= _MAX_FPS:
        raise AnnotationError(f"video {video.key}: {fps} frames per second; correct them, or leave them out")
    return Fraction(fps).limit_denominator(1001)  # finds 30000 / 1001 again


def _frames_to_encode(video: Video) -> Iterator[VideoFrame]:
    """Return the annotated frames in the pixel format of the copy.

    Frames that have it already are passed on as they are: on their way to RGB and back they would lose about one
    level of brightness, which FFmpeg's conversion to RGB rounds away.
    """
    to_display, from_display = VideoReformatter(), VideoReformatter()
    pixel_format = None
    for frame, rotation in iterate_annotated(video):
        pixel_format = pixel_format or _pixel_format(video, frame)
        if rotation == 0 and frame.format.name == pixel_format:
            yield frame
        else:
            rgb = VideoFrame.from_ndarray(np.ascontiguousarray(to_rgb(frame, to_display, rotation)), format="rgb24")
            yield from_display.reformat(
                rgb, format=pixel_format, dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG, threads=1
            )


def _pixel_format(video: Video, first: VideoFrame) -> str:
    """Return the pixel format of the copy, by the first frame of the source."""
    is_even = video.height % 2 == video.width % 2 == 0
    # Images mostly come from videos that had colours at half the resolution.
    is_halved = video.path.is_dir() or first.format.chroma_width(2) == first.format.chroma_height(2) == 1
    return "yuv420p" if is_even and is_halved else "yuv444p"
