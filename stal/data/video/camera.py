"""Frames as a camera gives them: nobody knows how many will come."""

import errno
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from stal.data.video.pyav_backend import to_rgb
from stal.errors import DataNotFoundError, VideoReadError

_MIN_STEP_SECONDS = 0.001  # between frames, where a camera gives two the same time
_TIMEOUT_SECONDS = 10.0  # after which a camera that gives no frame counts as broken


def iterate_camera(source: str) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], float]]:
    """Give frames as they come, one at a time, until the source ends or the caller stops asking.

    A frame that is not fetched in time is dropped by the camera; the times tell.

    Args:
        source: number of a camera of Linux (`0` for /dev/video0), the path of its device, or the address of a stream
            (rtsp://...) or the path of a video file that stands for one.

    Yields:
        A frame, RGB, turned as the source says that it is to be shown; and its time in seconds from the first one on.

    Raises:
        DataNotFoundError: there is no such camera.
        VideoReadError: it cannot be opened, or its frames cannot be decoded.
    """
    place = f"/dev/video{source}" if source.isdecimal() else source
    is_device = place.startswith("/dev/")
    if "://" not in place and not Path(place).exists():
        there = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        raise DataNotFoundError(f"there is no camera {place}; the cameras of this computer: {there}")
    try:
        with av.open(place, format="v4l2" if is_device else None, timeout=_TIMEOUT_SECONDS) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise VideoReadError(f"{place}: it gives no video")
            reformatter, last, first = VideoReformatter(), -_MIN_STEP_SECONDS, None
            for frame in container.decode(stream):
                told = time.monotonic() if frame.time is None else frame.time
                first = told if first is None else first
                last = max(told - first, last + _MIN_STEP_SECONDS)
                yield np.ascontiguousarray(to_rgb(frame, reformatter, int(frame.rotation))), last
    except av.FFmpegError as error:
        hint = "; is it in use by another program?" if error.errno == errno.EBUSY else ""
        raise VideoReadError(f"{place}: the camera cannot be read ({error.strerror}){hint}") from error
