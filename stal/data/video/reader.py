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
from jaxtyping import Float64, Int64, Integer, UInt8

from stal.data.video import clock, decord_backend, pyav_backend, torchcodec_backend
from stal.data.video.frame_folder import folder_table, read_folder
from stal.data.video.frame_table import FrameTable, frame_table
from stal.data.video.mapping import Damaged, FrameMap, map_frames
from stal.errors import ConfigError, VideoReadError

Indices = Sequence[int] | Integer[np.ndarray, " T"]
Backend = Literal["pyav", "decord", "torchcodec"]
_DECODERS = {
    "pyav": pyav_backend.decode,
    "decord": decord_backend.decode,
    "torchcodec": torchcodec_backend.decode,
}


def read_frames(
    path: str | Path,
    indices: Indices,
    *,
    num_frames: int | None = None,
    backend: Backend = "pyav",
    damaged: Damaged = "error",
) -> UInt8[np.ndarray, "T H W 3"]:
    """Decode frames of a video file or of a folder of frames.

    Args:
        path: a video file, or a folder of images `00001.jpg` (or .png), `00002.jpg`, ...
        indices: 0-based frames, in any order, repeated or not.
        num_frames: annotated number of frames. If given, `indices` count annotated frames, and those are mapped onto
            the decoded ones by the rule that `frame_rule` names; else they count decoded frames.
        backend: decoder of video files. `decord` and `torchcodec` are optional and serve only the kinds of files that
            they read right.
        damaged: whether a file that breaks off, or that has lost annotated frames, is an `error`; or to `keep` what
            there is, where the last readable frame stands in for those that are lost (`readable_frames`, `damage_of`).
            Either way parts of frames that are broken, where no frame is lost, are read as the decoder makes them up,
            and the frame before stands in for the last one or two, if only these are missing; `damage_of` tells.

    Returns:
        The frames in the order of `indices`, RGB, turned as the file says that they are to be shown.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded, has no such frame, or is at odds with `num_frames`.
        ConfigError: there is no such backend, or it is not installed, or no such way to take damaged files.
    """
    if backend not in _DECODERS:
        raise ConfigError(f"backend {backend!r} is none of {', '.join(_DECODERS)}")
    if damaged not in get_args(Damaged):
        raise ConfigError(f"damaged {damaged!r} is none of {', '.join(get_args(Damaged))}")
    path = Path(path)
    table = _table_of(path, damaged)
    wanted = checked_indices(path, indices, len(table) if num_frames is None else num_frames)
    if num_frames is not None:
        wanted = map_frames(table, num_frames, path, damaged).ordinals[wanted]
    ordinals, places = np.unique(wanted, return_inverse=True)
    decode = read_folder if table.container == "folder" else _DECODERS[backend]
    frames = decode(path, table, ordinals)
    height, width = frames.shape[1:3]
    if (height, width) != (table.height, table.width):
        raise VideoReadError(
            f"{path}: {backend} gives frames of {width} x {height} pixels, not {table.width} x {table.height}; "
            "use backend='pyav'"
        )
    return frames if np.array_equal(ordinals, wanted) else frames[places]


@dataclass(frozen=True)
class VideoFacts:
    """What a video says of itself.

    Attributes:
        path: the video file, or the folder of its frames.
        num_frames: frames that it decodes to.
        num_slots: frames that it lasts for at a fixed rate: `num_frames`, and those of packets that decode to nothing.
        height, width: size in pixels of a frame as it is shown.
        fps: average frames per second; None for a folder, or if the file does not say.
    """

    path: Path
    num_frames: int
    num_slots: int
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
    table = _table_of(Path(path))
    return VideoFacts(Path(path), len(table), clock.count_slots(table), table.height, table.width, table.fps)


def frames_at(
    path: str | Path, seconds: Float64[np.ndarray, " N"], *, fps: float | None = None
) -> tuple[Int64[np.ndarray, " N"], int]:
    """Return the frames that a video shows at points in time, and how many frames it has in that count.

    Args:
        path: a video file, or a folder of frames.
        seconds: from the start of the first frame on; see `clock.frames_at`.
        fps: frames per second, used where frames have no times that tell them apart.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded, or needs `fps`.
    """
    return clock.frames_at(_table_of(Path(path)), seconds, fps, Path(path))


def count_frames(path: str | Path) -> int:
    """Return how many frames a video file decodes to, or a folder of frames has; the file's header may say otherwise.

    Args:
        path: a video file, or a folder of frames.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded.
    """
    return len(_table_of(Path(path)))


def frame_rule(path: str | Path, num_frames: int, *, damaged: Damaged = "error") -> str:
    """Return the rule that maps the annotated frames of a video onto the decoded ones, see `map_frames`.

    Args:
        path: a video file, or a folder of frames.
        num_frames: annotated number of frames.
        damaged: as for `read_frames`.

    Returns:
        `order`, `time` or `clamp`, and with damaged="keep" also `cut`.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: it cannot be decoded, or no rule applies; the message has both numbers of frames.
    """
    return _map_of(Path(path), num_frames, damaged).rule


def readable_frames(path: str | Path, num_frames: int) -> int:
    """Return how many of the annotated frames are in a video, from the first on without a gap.

    All are if the rule is `order` or `time`; under `clamp` and `cut` the last of them stands in for those behind.

    Args:
        path: a video file, or a folder of frames, damaged or not.
        num_frames: annotated number of frames.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: not one is, or more frames decode than are annotated.
    """
    return _map_of(Path(path), num_frames, "keep").num_readable


def damage_of(path: str | Path, num_frames: int) -> str | None:
    """Return what is wrong with a video that damaged="keep" reads, in words.

    Args:
        path: a video file, or a folder of frames.
        num_frames: annotated number of frames.

    Returns:
        The damages, without the path; None if nothing is lost and nothing made up.

    Raises:
        DataNotFoundError: there is no such file or folder.
        VideoReadError: not one annotated frame is readable, or more frames decode than are annotated.
    """
    table = _table_of(Path(path), "keep")
    frame_map = map_frames(table, num_frames, Path(path), "keep")
    damages = [table.damage] if table.damage else []
    if frame_map.num_readable < num_frames:
        damages.append(f"of {num_frames} annotated frames the first {frame_map.num_readable} are readable")
    return "; ".join(damages) or None


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


def _map_of(path: Path, num_frames: int, damaged: Damaged) -> FrameMap:
    return map_frames(_table_of(path, damaged), num_frames, path, damaged)


def _table_of(path: Path, damaged: Damaged = "error") -> FrameTable:
    """Return the frame table of a file or folder, if that is whole or may be damaged."""
    table = folder_table(path) if path.is_dir() else frame_table(path)
    if table.failure is not None and damaged == "error":
        raise VideoReadError(f"{path}: {table.failure}; download the file again, or re-encode it")
    return table
