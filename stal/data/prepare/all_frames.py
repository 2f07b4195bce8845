"""All annotated frames of a video, one after the other, however long it is."""

import itertools
from collections.abc import Iterator

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

from stal.data.video.mapping import map_frames
from stal.data.video.pyav_backend import to_rgb
from stal.data.video.stream import iterate_stored, whole_table
from stal.errors import AnnotationError
from stal.structures import Video


def iterate_frames(video: Video) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Decode the annotated frames of a video in one pass that holds one frame at a time.

    They equal those of `read_frames(video.path, range(video.num_frames), num_frames=video.num_frames)`.

    Args:
        video: with its frames in a file or a folder.

    Yields:
        The frames, RGB, turned as the file says that they are to be shown.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded, or is at odds with the annotated number of frames.
        AnnotationError: its frames do not have the annotated size.
    """
    reformatter = VideoReformatter()
    for frame, rotation in iterate_annotated(video):
        yield np.ascontiguousarray(to_rgb(frame, reformatter, rotation))


def iterate_annotated(video: Video) -> Iterator[tuple[VideoFrame, int]]:
    """Decode as `iterate_frames`, but leave the frames in the colours of the file, and do not turn them.

    Yields:
        The frames, and the degrees by which they must be turned counterclockwise to be shown, a multiple of 90.
    """
    path = video.path
    table = whole_table(path)
    if (table.height, table.width) != (video.height, video.width):
        raise AnnotationError(
            f"video {video.key}: the frames of {path} have {table.width} x {table.height} pixels, but "
            f"{video.width} x {video.height} are annotated, and boxes count in those; is it another copy of the video?"
        )
    ordinals = map_frames(table, video.num_frames, path).ordinals
    num_shown = np.bincount(ordinals, minlength=len(table))  # no rule goes back, and some hold a frame
    for frame, repetitions in zip(iterate_stored(path, table), num_shown.tolist(), strict=True):
        yield from itertools.repeat((frame, table.rotation), repetitions)
