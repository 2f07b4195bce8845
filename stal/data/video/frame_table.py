"""What a video file really decodes to: the table of its frames.

The number of frames in a file's header and the packets of its container both lie: a header counts frames that were
cut off, a packet may decode to nothing. A decoder that seeks by time alone lands on other frames than it was asked for
in files with B-frames, open groups of pictures or intra refresh. So a file is decoded once, without converting a pixel
(about 0.06 ms a frame at 320 x 240), and every later read is checked against the table that this leaves.
"""

import json
import logging
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import PictureType, VideoFrame
from jaxtyping import Int64

from stal.data.video import table_cache
from stal.data.video.av_file import NO_TIME, open_video, time_of
from stal.data.video.avi_gaps import GapFinder
from stal.errors import DataNotFoundError, VideoReadError

_logger = logging.getLogger(__name__)

# Kept in memory, at 8 bytes a frame and about 2 kB more: all 3,194 videos of UCF101-24 take 11 MB, 400 films of 15
# minutes 90 MB.
MAX_TABLES = 4096
_SEEKABLE_CONTAINERS = {"avi", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
_TORCHCODEC_CODECS = {"ffv1", "h264", "hevc", "libdav1d", "mjpeg", "mpeg4", "msmpeg4", "vp8", "vp9"}
_DECORD_CODECS = {"avi": {"mpeg4", "mjpeg"}, "mov,mp4,m4a,3gp,3g2,mj2": {"h264", "mpeg4"}}
# With others, with odd sizes, and in interlaced frames decord and torchcodec give other colours: up to 136 of 255 at
# edges.
_PLAIN_PIXEL_FORMATS = {f"{kind}{sampling}p" for kind in ("yuv", "yuvj") for sampling in (420, 422, 444)}


@dataclass(frozen=True, eq=False)
class FrameTable:
    """The frames of one video, in the order in which they decode.

    Attributes:
        times: (N,) presentation times in ticks of the stream, `NO_TIME` where a frame has none.
        key_frames: (K,) ordinals of the frames at which decoding can start.
        height, width: size in pixels of a frame as it is shown, after `rotation`.
        rotation: degrees by which a decoded frame must be turned counterclockwise to be shown, a multiple of 90.
        container: FFmpeg's name of the file format, or `folder`.
        codec: FFmpeg's name of the codec.
        pixel_format: FFmpeg's name of the layout of decoded pixels.
        has_b_frames: whether frames may be stored in another order than they are shown in.
        packets_are_frames: whether every packet that is to be shown decodes to one frame, and is marked as a key frame
            if that frame is one.
        num_trimmed: packets that are decoded but not to be shown, by the edit list of an mp4 or mov file.
        num_video_streams: of the file, without cover pictures; FFmpeg's choice of them is read.
        is_interlaced: whether some frames hold the lines of two points in time.
        fps: average frames per second, None if the file does not say.
        seconds_per_tick: length of a tick, None where frames have no times: in a folder of them.
        num_damaged: frames of which parts were made up by the decoder, because the file is broken there.
        num_sound: leading frames before the first that is damaged or may come after lost data; all in a whole file.
        failure: why decoding ends before the file does, None if it does not.
    """

    times: Int64[np.ndarray, " N"]
    key_frames: Int64[np.ndarray, " K"]
    height: int
    width: int
    rotation: int
    container: str
    codec: str
    pixel_format: str
    has_b_frames: bool
    packets_are_frames: bool
    num_trimmed: int
    num_video_streams: int
    is_interlaced: bool
    fps: float | None
    seconds_per_tick: float | None
    num_damaged: int
    num_sound: int
    failure: str | None

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def is_seekable(self) -> bool:
        """Whether decoding may start at a key frame: in other files that was measured to give wrong frames.

        What stands in for the damaged parts of a frame depends on all that was decoded before it, and after lost data
        a file's index gives other times than its frames.
        """
        return (
            self.has_rising_times
            and not self.has_b_frames
            and self.damage is None
            and self.container in _SEEKABLE_CONTAINERS
        )

    @cached_property
    def has_rising_times(self) -> bool:
        """Whether every frame has a later time than the one before."""
        return bool((self.times[1:] > self.times[:-1]).all()) and NO_TIME not in self.times[:1]

    @cached_property
    def torchcodec_is_exact(self) -> bool:
        """Whether torchcodec 0.17 was measured to read this kind of file without a wrong frame, in the same colours."""
        return self._is_plain and self.codec in _TORCHCODEC_CODECS

    @cached_property
    def decord_is_exact(self) -> bool:
        """Whether decord 0.6 was measured to read this kind of file without a wrong frame, in the same colours."""
        has_one_step = len(np.unique(np.diff(self.times))) <= 1
        codecs = _DECORD_CODECS.get(self.container, set())
        is_whole = self.rotation == self.num_trimmed == 0
        return self._is_plain and is_whole and has_one_step and self.codec in codecs

    @property
    def _is_plain(self) -> bool:
        is_even = self.height % 2 == self.width % 2 == 0
        has_plain_pixels = is_even and not self.is_interlaced and self.pixel_format in _PLAIN_PIXEL_FORMATS
        return self.is_seekable and self.packets_are_frames and self.num_video_streams == 1 and has_plain_pixels

    @property
    def damage(self) -> str | None:
        """What is broken in the file, in words, or None if nothing is known to be."""
        reasons = [self.failure] if self.failure else []
        if self.num_damaged:
            reasons.append(f"{self.num_damaged} of its {len(self)} frames are damaged")
        if self.num_sound < len(self):
            reasons.append(f"data is broken or missing at frame {self.num_sound}")
        return ", ".join(reasons) or None

    def key_frame_before(self, ordinal: int) -> int:
        """Return the last key frame at or before the frame `ordinal`, or the first frame if there is none."""
        position = int(np.searchsorted(self.key_frames, ordinal, side="right")) - 1
        return int(self.key_frames[position]) if position >= 0 else 0

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` makes the table of."""
        facts = {name: value for name, value in vars(self).items() if name in self.__dataclass_fields__}
        times, key_frames = facts.pop("times"), facts.pop("key_frames")
        header = json.dumps(facts | {"num_frames": len(times)}).encode()
        return b"%s\n%s%s" % (header, times.astype("<i8").tobytes(), key_frames.astype("<i8").tobytes())

    @classmethod
    def from_bytes(cls, content: bytes) -> "FrameTable":
        """Return the table of which `to_bytes` made `content`."""
        header, _, arrays = content.partition(b"\n")
        facts = json.loads(header)
        num_frames = facts.pop("num_frames")
        numbers = np.frombuffer(arrays, "<i8").astype(np.int64, copy=False)
        return cls(times=numbers[:num_frames], key_frames=numbers[num_frames:], **facts)


def frame_table(path: Path) -> FrameTable:
    """Return the frame table of a video file, built once for as long as the file's size and time do not change.

    It is kept in memory, and on disk for other processes and later runs (`stal.data.video.table_cache`).

    Args:
        path: a video file.

    Raises:
        DataNotFoundError: there is no such file.
        VideoReadError: no frame of it can be decoded.
    """
    path = Path(os.path.abspath(path))
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such video; check the root of the data set (data/README.md)")
    stat = path.stat()
    return _kept_table(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=MAX_TABLES)
def _kept_table(path: Path, size: int, mtime_ns: int) -> FrameTable:
    """Load or build the table of a file that had this size and time of change before."""
    origin = table_cache.Origin(path.resolve(), size, mtime_ns)
    content = table_cache.load(origin)
    if content is None:
        table = _build_table(path)
        table_cache.store(origin, table.to_bytes())
    else:
        table = FrameTable.from_bytes(content)
    if table.damage:
        _logger.warning("%s: %s; download the file again, or re-encode it", path, table.damage)
    return table


def _build_table(path: Path) -> FrameTable:
    """Decode the whole file once."""
    frames: list[tuple[int, bool, bool, bool]] = []  # time, whether decoding can start there, B-frame, damaged
    first: VideoFrame | None = None
    num_packets = num_key_packets = num_trimmed = 0
    follows_trimmed_key = is_interlaced = False
    unsure: list[int] = []  # frames that may be broken, or of which it is not sure that they have the right number
    failure: str | None = None
    with open_video(path) as (container, stream), path.open("rb") as file:
        codec = stream.codec_context
        container_name, codec_name, may_reorder = container.format.name, codec.name, bool(codec.has_b_frames)
        fps = float(stream.average_rate) if stream.average_rate else None
        seconds_per_tick = float(stream.time_base) if stream.time_base else None
        num_video_streams = sum(1 for s in container.streams.video if not s.disposition & Disposition.attached_pic)
        is_avi = container_name == "avi"
        follows_gap = GapFinder(file)
        try:
            for packet in container.demux() if is_avi else container.demux(stream):
                if is_avi and packet.pos is not None and follows_gap(packet.pos, packet.size):
                    unsure.append(max(0, len(frames) - 1))  # of the packet before, the end may be lost too
                if packet.stream.index != stream.index:
                    continue
                if packet.is_corrupt:
                    unsure.append(len(frames))
                if packet.is_discard:
                    num_trimmed += 1
                    follows_trimmed_key |= packet.is_keyframe
                elif packet.size > 0:
                    num_packets += 1
                    num_key_packets += packet.is_keyframe
                for frame in stream.decode(packet):
                    first = first or frame
                    is_interlaced |= frame.interlaced_frame
                    # A recovery point of intra refresh may be flagged as a key frame, but decoding cannot start at it.
                    is_start = frame.key_frame and frame.pict_type == PictureType.I
                    # Some decoders tell the kind of no frame, as that of QuickTime's animations.
                    follows_key = num_key_packets > 0 and frame.pict_type == PictureType.NONE
                    if frame.is_corrupt or not (frames or is_start or follows_key or follows_trimmed_key):
                        unsure.append(len(frames))
                    frames.append((time_of(frame), is_start, frame.pict_type == PictureType.B, frame.is_corrupt))
        except av.FFmpegError as error:
            announced = stream.frames or "an unknown number"
            failure = f"decoding fails after {len(frames)} frames ({error.strerror}), the file announces {announced}"
    if first is None:
        reason = failure or f"its {codec_name} stream holds no frame that decodes"
        raise VideoReadError(f"{path}: {reason}; download the file again")
    rotation = _rotation_of(first, path)
    times, starts, b_frames, damages = (np.array(column) for column in zip(*frames, strict=True))
    key_frames = np.flatnonzero(starts)
    height, width = (first.width, first.height) if rotation % 180 else (first.height, first.width)
    return FrameTable(
        times=times.astype(np.int64),
        key_frames=key_frames.astype(np.int64),
        height=height,
        width=width,
        rotation=rotation,
        container=container_name,
        codec=codec_name,
        pixel_format=first.format.name,
        has_b_frames=may_reorder or bool(b_frames.any()),
        packets_are_frames=num_packets == len(frames) and num_key_packets == len(key_frames),
        num_trimmed=num_trimmed,
        num_video_streams=num_video_streams,
        is_interlaced=is_interlaced,
        fps=fps,
        seconds_per_tick=seconds_per_tick,
        num_damaged=int(damages.sum()),
        num_sound=min([len(frames), *unsure]),
        failure=failure,
    )


def _rotation_of(frame: VideoFrame, path: Path) -> int:
    """Return the degrees by which a frame must be turned counterclockwise to be shown, a multiple of 90."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):  # there is none
        return 0
    # It maps a point (x, y) to (a x + c y, b x + d y). The shape of pixels, which it may hold too, is left as it is.
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if a * d - b * c <= 0:
        raise VideoReadError(
            f"{path}: its frames are to be shown mirrored, by the matrix [{a} {b}; {c} {d}] / 65536, which is not done "
            "here; re-encode it with its frames as they are shown (`ffmpeg -i IN OUT` does so)"
        )
    rotation = int(frame.rotation)
    if rotation % 90:
        raise VideoReadError(f"{path}: is to be shown turned by {rotation} degrees; only multiples of 90 are read")
    return rotation
