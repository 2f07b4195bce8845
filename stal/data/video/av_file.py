"""Video files as FFmpeg opens them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from stal.errors import VideoReadError

NO_TIME = np.iinfo(np.int64).min
"""Stands for the presentation time of a frame that has none."""

# A title that is not UTF-8 was an error before PyAV 19, unless this was set; since then it cannot be set.
OPEN_ARGUMENTS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file for decoding on one thread, and turn what FFmpeg raises meanwhile into a `VideoReadError`.

    One thread was the fastest for short clips; workers of a data loader would otherwise compete for the cores.
    """
    try:
        # Playlists are a video format to FFmpeg: a file must not make it fetch others from the network.
        with av.open(str(path), options={"protocol_whitelist": "file"}, **OPEN_ARGUMENTS) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise VideoReadError(f"{path}: there is no video stream to read in this {container.format.name} file")
            stream.codec_context.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.FFmpegError as error:
        raise VideoReadError(f"{path}: {_describe_failure(path, error)}") from error


def _describe_failure(path: Path, error: av.FFmpegError) -> str:
    """Say what a file is that FFmpeg does not decode."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as cause:
        return f"the file cannot be opened ({cause.strerror})"
    if not start:
        return "the file is empty (0 bytes); download it again"
    return (
        f"FFmpeg cannot decode it ({error.strerror}); the file has {path.stat().st_size} bytes and starts with "
        f"{start!r}: is it whole, and a video? Download it again"
    )


def time_of(frame: VideoFrame) -> int:
    """Return the presentation time of a decoded frame in ticks, `NO_TIME` if it has none."""
    return NO_TIME if frame.pts is None else frame.pts
