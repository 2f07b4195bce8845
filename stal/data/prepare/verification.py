"""Whether a re-encoded video holds the frames of its source, each in its place."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from stal.data.prepare.all_frames import iterate_frames
from stal.data.video.av_file import open_video, time_of
from stal.data.video.pyav_backend import to_rgb
from stal.errors import VideoReadError
from stal.structures import Video

MIN_PSNR = 30.0
"""Decibels that every frame of a copy must reach."""

# A frame counts as its neighbour when it is nearer to that by most of the squared difference between the two; an exact
# copy of the neighbour is by all of it. Encoders drag behind a little: right frames were nearer by up to 3 % in 180
# videos at x264's rate factor of 18, and by up to a third in 82 of them at 28. They leave slow fades out at will, and
# so small differences do not count.
_MIN_SHARE = 0.5
_MIN_DIFFERENCE = 16.0

Frame = UInt8[np.ndarray, "H W 3"]


def verify_copy(video: Video, copy: Path, group_size: int) -> float:
    """Compare a copy with its source, frame by frame, in one pass over both.

    A frame must be near to its own source frame, and must not show the source frame before or after it, where that is
    another picture.

    Args:
        video: the annotated source.
        copy: the video file that should hold its annotated frames, and no others.
        group_size: frames from one key frame of the copy to the next.

    Returns:
        The lowest peak signal-to-noise ratio of a frame, in decibels.

    Raises:
        VideoReadError: frames of the copy are missing, out of place, or damaged.
    """
    lowest = math.inf
    sources = _with_neighbours(iterate_frames(video))
    num_compared = 0
    for frame, (own, neighbours) in zip(_decode_copy(video, copy, group_size), sources, strict=False):
        lowest = min(lowest, _compare(video, num_compared, frame, own, neighbours))
        num_compared += 1
    if num_compared < video.num_frames:
        raise _failure(video, f"has {num_compared} frames, but {video.num_frames} are annotated")
    return lowest


def _with_neighbours(frames: Iterable[Frame]) -> Iterator[tuple[Frame, dict[int, Frame]]]:
    """Return every frame with those before (-1) and after it (+1), where there are such."""
    before: dict[int, Frame] = {}
    current: Frame | None = None
    for after in frames:
        if current is not None:
            yield current, before | {1: after}
            before = {-1: current}
        current = after
    if current is not None:
        yield current, before


def _decode_copy(video: Video, copy: Path, group_size: int) -> Iterator[Frame]:
    """Decode the copy; every frame must have the time, kind and size that were asked for."""
    reformatter = VideoReformatter()
    with open_video(copy) as (container, stream):
        for index, frame in enumerate(container.decode(stream)):
            reason = _find_fault(video, stream, index, frame, group_size)
            if reason is not None:
                raise _failure(video, f"has a frame {index} that {reason}")
            yield np.ascontiguousarray(to_rgb(frame, reformatter, 0))


def _find_fault(video: Video, stream: VideoStream, index: int, frame: VideoFrame, group_size: int) -> str | None:
    """Return what is wrong with a frame of the copy, whatever it shows."""
    if index >= video.num_frames:
        return f"is beyond the {video.num_frames} annotated ones"
    if frame.is_corrupt:
        return "is damaged"
    if Fraction(time_of(frame)) * (stream.time_base or 0) * (stream.average_rate or 0) != index:
        return f"is shown at tick {frame.pts}, not a frame period after the one before it"
    if frame.pict_type == PictureType.B or bool(frame.key_frame) != (index % group_size == 0):
        return f"is a {PictureType(frame.pict_type).name} frame, in groups of {group_size}"
    if (frame.height, frame.width, frame.rotation) != (video.height, video.width, 0):
        return f"has {frame.width} x {frame.height} pixels, not {video.width} x {video.height}"
    return None


def _compare(video: Video, index: int, frame: Frame, own: Frame, neighbours: dict[int, Frame]) -> float:
    """Return the peak signal-to-noise ratio of a frame of the copy, which must show its own source frame."""
    error = _distance(frame, own)
    distances = {offset: _distance(frame, neighbour) for offset, neighbour in neighbours.items()}
    for offset in sorted(distances, key=distances.__getitem__):
        difference = _distance(own, neighbours[offset])
        if difference >= _MIN_DIFFERENCE and error - distances[offset] > _MIN_SHARE * difference:
            raise _failure(video, f"has a frame {index} that looks more like frame {index + offset}; is one left out?")
    psnr = 10 * math.log10(255**2 / error) if error > 0 else math.inf
    if psnr < MIN_PSNR:
        raise _failure(
            video,
            f"differs too much in frame {index}: {psnr:.1f} dB, at least {MIN_PSNR:g} are needed; "
            "encode it better (a lower --quality), or copy it to frames",
        )
    return psnr


def _distance(a: Frame, b: Frame) -> float:
    """Return the mean squared difference of two frames."""
    return cv2.norm(a, b, cv2.NORM_L2SQR) / a.size


def _failure(video: Video, reason: str) -> VideoReadError:
    return VideoReadError(f"video {video.key}: the copy of {video.path} {reason}")
