"""What a video file really decodes to: the table of its frames, and how annotated frames map onto it.

The number of frames in a file's header and the packets of its container both lie: a header counts frames that were
cut off, a packet may decode to nothing. A decoder that seeks by time alone lands on other frames than it was asked for
in files with B-frames, open groups of pictures or intra refresh. So a file is decoded once, without converting a pixel
(about 0.06 ms a frame at 320 x 240), and every later read is checked against the table that this leaves.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Int64

from stal.errors import DataNotFoundError, VideoReadError

NO_TIME = np.iinfo(np.int64).min
"""Stands in a table for the presentation time of a frame that has none."""

_logger = logging.getLogger(__name__)

MAX_TABLES = 4096  # about 10 kB each; all 3,194 videos of UCF101-24 fit
MAX_CLAMPED_FRAMES = 2

# A title that is not UTF-8 was an error before PyAV 19, unless this was set; since then it cannot be set.
_OPEN_ARGUMENTS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
_SEEKABLE_CONTAINERS = {"avi", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
_DECORD_CODECS = {"avi": {"mpeg4", "mjpeg"}, "mov,mp4,m4a,3gp,3g2,mj2": {"h264", "mpeg4"}}


@dataclass(frozen=True, eq=False)
class FrameTable:
    """The frames of one video file, in the order in which they decode.

    Attributes:
        times: (N,) presentation times in ticks of the stream, `NO_TIME` where a frame has none.
        key_frames: (K,) ordinals of the frames at which decoding can start.
        height, width: size in pixels of a frame as it is shown, after `rotation`.
        rotation: degrees by which a decoded frame must be turned counterclockwise to be shown, a multiple of 90.
        container: FFmpeg's name of the file format.
        codec: FFmpeg's name of the codec.
        has_b_frames: whether frames may be stored in another order than they are shown in.
        packets_are_frames: whether every packet decodes to one frame and is marked as a key frame if that frame is one.
        fps: average frames per second, None if the file does not say.
        num_damaged: frames of which parts were made up by the decoder, because the file is broken there.
    """

    times: Int64[np.ndarray, " N"]
    key_frames: Int64[np.ndarray, " K"]
    height: int
    width: int
    rotation: int
    container: str
    codec: str
    has_b_frames: bool
    packets_are_frames: bool
    fps: float | None
    num_damaged: int

    def __len__(self) -> int:
        return len(self.times)

    @property
    def is_seekable(self) -> bool:
        """Whether decoding may start at a key frame: in other files that was measured to give wrong frames.

        What stands in for the damaged parts of a frame depends on all that was decoded before it.
        """
        in_order = not self.has_b_frames and bool((np.diff(self.times) > 0).all())
        return in_order and self.num_damaged == 0 and self.container in _SEEKABLE_CONTAINERS

    @property
    def decord_is_exact(self) -> bool:
        """Whether decord 0.6 reads this kind of file without a wrong frame."""
        return (
            self.is_seekable
            and self.packets_are_frames
            and len(np.unique(np.diff(self.times))) <= 1
            and self.rotation == 0
            and self.codec in _DECORD_CODECS.get(self.container, ())
        )

    def key_frame_before(self, ordinal: int) -> int:
        """Return the last key frame at or before the frame `ordinal`, or the first frame if there is none."""
        position = int(np.searchsorted(self.key_frames, ordinal, side="right")) - 1
        return int(self.key_frames[position]) if position >= 0 else 0


def frame_table(path: Path) -> FrameTable:
    """Return the frame table of a video file, built once for as long as the file's size and time do not change.

    Args:
        path: a video file.

    Raises:
        DataNotFoundError: there is no such file.
        VideoReadError: it is no video that can be decoded from its beginning to its end.
    """
    path = path.resolve()
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such video; check the root of the data set (data/README.md)")
    stat = path.stat()
    return _build_table(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=MAX_TABLES)
def _build_table(path: Path, size: int, mtime_ns: int) -> FrameTable:
    """Decode the whole file once; size and time of the file are there to be part of the cache's key."""
    times: list[int] = []
    key_frames: list[int] = []
    first: VideoFrame | None = None
    num_packets = num_key_packets = num_damaged = 0
    with open_video(path) as (container, stream):
        has_b_frames = bool(stream.codec_context.has_b_frames)
        try:
            for packet in container.demux(stream):
                num_packets += packet.size > 0
                num_key_packets += packet.size > 0 and packet.is_keyframe
                for frame in packet.decode():
                    first = first or frame
                    has_b_frames |= frame.pict_type == PictureType.B
                    # A recovery point of intra refresh may be flagged as a key frame, but decoding cannot start at it.
                    if frame.key_frame and frame.pict_type == PictureType.I:
                        key_frames.append(len(times))
                    num_damaged += frame.is_corrupt
                    times.append(time_of(frame))
        except av.FFmpegError as error:
            raise VideoReadError(
                f"{path}: decoding fails after {len(times)} frames ({error.strerror}), the file announces "
                f"{stream.frames or 'an unknown number'}; download the file again, or re-encode it"
            ) from error
        container_name, codec_name = container.format.name, stream.codec_context.name
        fps = float(stream.average_rate) if stream.average_rate else None
    if first is None:
        raise VideoReadError(f"{path}: its {codec_name} stream holds no frame that decodes; download the file again")
    if num_damaged:
        _logger.warning("%s: %d of its %d frames are damaged; download the file again", path, num_damaged, len(times))
    rotation = int(first.rotation)
    if rotation % 90:
        raise VideoReadError(f"{path}: is to be shown turned by {rotation} degrees; only multiples of 90 are read")
    height, width = (first.width, first.height) if rotation % 180 else (first.height, first.width)
    return FrameTable(
        times=np.array(times, dtype=np.int64),
        key_frames=np.array(key_frames, dtype=np.int64),
        height=height,
        width=width,
        rotation=rotation,
        container=container_name,
        codec=codec_name,
        has_b_frames=has_b_frames,
        packets_are_frames=num_packets == len(times) and num_key_packets == len(key_frames),
        fps=fps,
        num_damaged=num_damaged,
    )


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file for decoding on one thread, and turn what FFmpeg raises meanwhile into a `VideoReadError`.

    One thread was the fastest for short clips; workers of a data loader would otherwise compete for the cores.
    """
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise VideoReadError(f"{path}: the file cannot be opened ({error.strerror})") from error
    if not start:
        raise VideoReadError(f"{path}: the file is empty (0 bytes); download it again")
    try:
        # Playlists are a video format to FFmpeg: a file must not make it fetch others from the network.
        with av.open(str(path), options={"protocol_whitelist": "file"}, **_OPEN_ARGUMENTS) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise VideoReadError(f"{path}: there is no video stream to read in this {container.format.name} file")
            stream.codec_context.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.FFmpegError as error:
        raise VideoReadError(
            f"{path}: FFmpeg cannot decode it ({error.strerror}); the file has {path.stat().st_size} bytes and starts "
            f"with {start!r}: is it whole, and a video? Download it again"
        ) from error


def time_of(frame: VideoFrame) -> int:
    """Return the presentation time of a decoded frame in ticks, `NO_TIME` if it has none."""
    return NO_TIME if frame.pts is None else frame.pts


def map_frames(
    times: Int64[np.ndarray, " N"], num_frames: int, source: Path
) -> tuple[str, Int64[np.ndarray, " num_frames"]]:
    """Map the annotated frames of a video onto the frames that it decodes to.

    Some files hold packets that decode to nothing: they decode to fewer frames than the annotators saw, who were
    shown the previous frame in its place, and the presentation times have a gap there::

        packet      0   1   2   -   4        5 annotated frames
        decoded     0   1   2       3        4 decoded frames, at times 0 1 2 4
        annotated   0   1   2   2   3        the decoded frame for each annotated one

    The rules, in this order:

    - `order`: as many frames decode as are annotated; frame i is the i-th.
    - `time`: the times rise in whole frame periods and span as many as are annotated; frame i is the one shown then.
    - `clamp`: the last one or two frames are missing; the last frame that there is stands in for them.

    Args:
        times: presentation times of the decoded frames, in decoding order.
        num_frames: annotated number of frames.
        source: the video, for the error.

    Returns:
        The name of the rule, and for each annotated frame the ordinal of the decoded frame.

    Raises:
        VideoReadError: no rule applies.
    """
    num_decoded = len(times)
    if num_decoded == num_frames:
        return "order", np.arange(num_frames)
    steps = np.diff(times)
    if num_decoded > 1 and (steps > 0).all():
        slots = (times - times[0]) // np.gcd.reduce(steps)
        if slots[-1] + 1 == num_frames:
            return "time", np.searchsorted(slots, np.arange(num_frames), side="right") - 1
    if 0 < num_frames - num_decoded <= MAX_CLAMPED_FRAMES:
        return "clamp", np.arange(num_frames).clip(max=num_decoded - 1)
    raise VideoReadError(
        f"{source}: {num_decoded} frames decode, but {num_frames} are annotated, and their times do not explain the "
        "difference: is the file cut off or re-encoded? Download it again, or correct the annotated number of frames"
    )
