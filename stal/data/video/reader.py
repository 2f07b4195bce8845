"""Read frames of a video by their number, exactly: the only place in stal that decodes.

A read costs one pass over the file, from the last key frame before the first wanted frame where seeking is safe, else
from the start, and holds only the frames that were asked for. Every frame on the way is compared with the file's
frame table (`stal.data.video.frame_table`), so that a wrong frame is an error and never a silent result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from jaxtyping import Int64, Integer, UInt8

from stal.data.video.frame_folder import list_frames, read_images
from stal.data.video.frame_table import FrameTable, frame_table, map_frames, open_video, time_of
from stal.errors import ConfigError, VideoReadError

Indices = Sequence[int] | Integer[np.ndarray, " T"]
Backend = Literal["pyav", "decord"]
_BACKENDS = get_args(Backend)


def read_frames(
    path: str | Path, indices: Indices, *, num_frames: int | None = None, backend: Backend = "pyav"
) -> UInt8[np.ndarray, "T H W 3"]:
    """Decode frames of a video file or of a folder of frames.

    Args:
        path: a video file, or a folder of images `00001.jpg` (or .png), `00002.jpg`, ...
        indices: 0-based frames, in any order, repeated or not.
        num_frames: annotated number of frames. If given, `indices` count annotated frames, and those are mapped onto
            the decoded ones by the rule that `frame_rule` names; else they count decoded frames.
        backend: decoder of video files. `decord` is optional and serves only the kinds of files that it reads right.

    Returns:
        The frames in the order of `indices`, RGB, turned as the file says that they are to be shown.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded, has no such frame, or is at odds with `num_frames`.
        ConfigError: there is no such backend.
    """
    if backend not in _BACKENDS:
        raise ConfigError(f"backend {backend!r} is none of {', '.join(_BACKENDS)}")
    path = Path(path)
    table = None if path.is_dir() else frame_table(path)
    times = _folder_times(path) if table is None else table.times
    length = len(times) if num_frames is None else num_frames
    wanted = checked_indices(path, indices, length)
    if num_frames is not None:
        wanted = map_frames(times, num_frames, path)[1][wanted]
    ordinals, places = np.unique(wanted, return_inverse=True)
    if table is None:
        frames = read_images([list_frames(path)[ordinal] for ordinal in ordinals])
    elif backend == "decord":
        frames = _decode_with_decord(path, table, ordinals)
    else:
        frames = _decode_with_pyav(path, table, ordinals)
    return frames if np.array_equal(ordinals, wanted) else frames[places]


@dataclass(frozen=True)
class VideoFacts:
    """What a video says of itself.

    Attributes:
        path: the video file, or the folder of its frames.
        num_frames: frames that it decodes to.
        height, width: size in pixels of a frame as it is shown.
        fps: average frames per second; None for a folder, or if the file does not say.
    """

    path: Path
    num_frames: int
    height: int
    width: int
    fps: float | None


def video_facts(path: str | Path) -> VideoFacts:
    """Return the length, size and rate of a video.

    Args:
        path: a video file, or a folder of frames.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded.
    """
    path = Path(path)
    if path.is_dir():
        names = list_frames(path)
        height, width = read_images(names[:1]).shape[1:3]
        return VideoFacts(path, len(names), height, width, None)
    table = frame_table(path)
    return VideoFacts(path, len(table), table.height, table.width, table.fps)


def count_frames(path: str | Path) -> int:
    """Return how many frames a video file decodes to, or a folder of frames has; the file's header may say otherwise.

    Args:
        path: a video file, or a folder of frames.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded.
    """
    return len(_frame_times(Path(path)))


def frame_rule(path: str | Path, num_frames: int) -> str:
    """Return the rule that maps the annotated frames of a video onto the decoded ones: `order`, `time` or `clamp`.

    Args:
        path: a video file, or a folder of frames.
        num_frames: annotated number of frames.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded, or no rule applies; the message has both numbers of frames.
    """
    path = Path(path)
    return map_frames(_frame_times(path), num_frames, path)[0]


def _frame_times(path: Path) -> Int64[np.ndarray, " N"]:
    """Return the presentation times of the frames; those of a folder are 0, 1, 2, ..."""
    return _folder_times(path) if path.is_dir() else frame_table(path).times


def _folder_times(folder: Path) -> Int64[np.ndarray, " N"]:
    return np.arange(len(list_frames(folder)))


def checked_indices(path: Path, indices: Indices, num_frames: int) -> Int64[np.ndarray, " T"]:
    """Return `indices` as an array.

    Raises:
        VideoReadError: there is none, or one is not a frame of the video at `path`, which has `num_frames`.
    """
    array = np.asarray(indices)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise VideoReadError(f"{path}: frames are asked for by a sequence of integers, at least one, not {indices!r}")
    bad = array[(array < 0) | (array >= num_frames)]
    if bad.size:
        raise VideoReadError(
            f"{path}: there is no frame {bad[0]}; it has {num_frames} frames, 0 to {num_frames - 1} "
            f"({bad.size} of the {array.size} wanted are outside)"
        )
    return array.astype(np.int64)


def _decode_with_pyav(path: Path, table: FrameTable, ordinals: Int64[np.ndarray, " T"]) -> UInt8[np.ndarray, "T H W 3"]:
    """Decode the frames `ordinals` (rising), seeking where that is safe."""
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
                frames[row] = _to_rgb(path, table, ordinal, frame, reformatter)
                row += 1
                if row == len(ordinals):
                    return frames
    return None


def _to_rgb(
    path: Path, table: FrameTable, ordinal: int, frame: VideoFrame, reformatter: VideoReformatter
) -> UInt8[np.ndarray, "H W 3"]:
    """Convert a decoded frame to RGB and turn it as it is to be shown."""
    # Left to choose, the conversion starts a thread per core, which takes longer than a small frame itself.
    rgb = np.rot90(reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray(), table.rotation // 90)
    if rgb.shape[:2] != (table.height, table.width):
        raise VideoReadError(
            f"{path}: frame {ordinal} has {rgb.shape[1]} x {rgb.shape[0]} pixels, but frame 0 has "
            f"{table.width} x {table.height}; the frames of a video have one size: re-encode it"
        )
    return rgb


def _decode_with_decord(
    path: Path, table: FrameTable, ordinals: Int64[np.ndarray, " T"]
) -> UInt8[np.ndarray, "T H W 3"]:
    """Decode the frames `ordinals` with decord, if the file is of a kind that decord reads right."""
    if not table.decord_is_exact:
        raise VideoReadError(
            f"{path}: decord may return wrong frames of this {table.codec} video in {table.container} "
            "(B-frames, open groups of pictures, rotation, damage, or packets without a frame); use backend='pyav'"
        )
    try:
        import decord
    except ImportError as error:
        raise VideoReadError("backend='decord' needs decord: `pip install decord`, or use backend='pyav'") from error
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        if len(reader) == len(table):
            return reader.get_batch(ordinals).asnumpy()
    except decord.DECORDError as error:
        raise VideoReadError(f"{path}: decord cannot decode it; use backend='pyav'") from error
    raise VideoReadError(f"{path}: decord counts {len(reader)} frames where {len(table)} decode; use backend='pyav'")
