"""A video that was unpacked into a folder of numbered images, such as `00001.jpg`, `00002.jpg`, ..."""

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int64, UInt8

from stal.data.video.frame_table import MAX_TABLES, FrameTable
from stal.errors import VideoReadError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_NUMBERED_NAME = re.compile(r"(?P<prefix>.*?)(?P<number>\d+)")


def list_frames(folder: Path) -> tuple[Path, ...]:
    """Return the images of a folder by their number: the first is frame 0, whether it is named 0 or 1.

    Args:
        folder: holds images named by a number, perhaps behind one common prefix; other kinds of files are ignored.

    Raises:
        VideoReadError: there are no images, or their numbers have a gap, do not start at 0 or 1, or occur twice; or the
            folder cannot be opened.
    """
    folder = folder.resolve()
    return _list_frames(folder, _time_of_change(folder))


@lru_cache(maxsize=256)  # each holds the paths of all its frames
def _list_frames(folder: Path, mtime_ns: int) -> tuple[Path, ...]:
    """List the folder; its time of change is there to be part of the cache's key."""
    numbered: dict[int, Path] = {}
    prefixes = set()
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise VideoReadError(f"{folder}: {_cannot_be_opened(folder, error)}; extract the video again") from error
    for path in paths:
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        name = _NUMBERED_NAME.fullmatch(path.stem)
        if name is None:
            raise VideoReadError(f"{path}: a frame is named by its number, such as 00001.jpg; rename or remove it")
        number = int(name["number"])
        if number in numbered:
            raise VideoReadError(f"{folder}: {numbered[number].name} and {path.name} are both frame {number}")
        numbered[number] = path
        prefixes.add(name["prefix"])
    if not numbered:
        raise VideoReadError(
            f"{folder}: the folder has no frames ({', '.join(IMAGE_SUFFIXES)}); extract the video into it again"
        )
    if len(prefixes) > 1:
        raise VideoReadError(f"{folder}: frames of several videos, with names that start with {sorted(prefixes)[:5]}")
    first, last = min(numbered), max(numbered)
    missing = sorted(set(range(min(first, 1), last + 1)) - numbered.keys())
    if missing:
        raise VideoReadError(
            f"{folder}: {len(missing)} of the frames up to {last} are missing, the first is number {missing[0]}; "
            "extract the video into it again"
        )
    return tuple(numbered[number] for number in range(first, last + 1))


def folder_table(folder: Path) -> FrameTable:
    """Return the frame table of a folder of frames: every image is a key frame, and the times are 0, 1, 2, ...

    Args:
        folder: as for `list_frames`.

    Raises:
        VideoReadError: as for `list_frames`, or the first image cannot be decoded.
    """
    paths = list_frames(folder)
    return _folder_table(paths[0], len(paths), _time_of_change(paths[0]))


@lru_cache(maxsize=MAX_TABLES)
def _folder_table(first: Path, num_frames: int, mtime_ns: int) -> FrameTable:
    """Return the table of a number of images; the first says their size, and its time of change is part of the key."""
    height, width = read_images([first]).shape[1:3]
    return FrameTable(
        times=np.arange(num_frames),
        key_frames=np.arange(num_frames),
        height=height,
        width=width,
        rotation=0,
        container="folder",
        codec=first.suffix[1:].lower(),
        pixel_format="rgb24",
        has_b_frames=False,
        packets_are_frames=True,
        num_trimmed=0,
        num_video_streams=1,
        is_interlaced=False,
        fps=None,
        seconds_per_tick=None,
        num_damaged=0,
        num_sound=num_frames,
        failure=None,
    )


def read_folder(folder: Path, table: FrameTable, ordinals: Int64[np.ndarray, " T"]) -> UInt8[np.ndarray, "T H W 3"]:
    """Read the frames `ordinals` of a folder.

    Raises:
        VideoReadError: an image cannot be decoded, or has another size than the first of the folder.
    """
    paths = list_frames(folder)
    frames = read_images([paths[ordinal] for ordinal in ordinals])
    height, width = frames.shape[1:3]
    if (height, width) != (table.height, table.width):
        raise VideoReadError(
            f"{paths[ordinals[0]]}: {width} x {height} pixels, but {paths[0].name} has {table.width} x {table.height}; "
            "the frames of a video have one size"
        )
    return frames


def read_images(paths: Sequence[Path]) -> UInt8[np.ndarray, "T H W 3"]:
    """Read images of one size as RGB.

    Raises:
        VideoReadError: an image cannot be opened or decoded, or has another size than the first.
    """
    frames: np.ndarray | None = None
    for index, path in enumerate(paths):
        image = _read_image(path)
        if frames is None:
            frames = np.empty((len(paths), *image.shape), np.uint8)
        if image.shape != frames.shape[1:]:
            raise VideoReadError(
                f"{path}: {image.shape[1]} x {image.shape[0]} pixels, but {paths[0].name} has "
                f"{frames.shape[2]} x {frames.shape[1]}; the frames of a video have one size"
            )
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=frames[index])
    if frames is None:
        raise VideoReadError("no images to read: name at least one")
    return frames


def _read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """Read an image as BGR. OpenCV gets its content: given a name that is not UTF-8, it ends the process."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VideoReadError(f"{path}: {_cannot_be_opened(path, error)}; extract the video again") from error
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error:  # it is larger than OpenCV allows
        image = None
    if image is None:
        raise VideoReadError(
            f"{path}: not an image that can be decoded ({len(content)} bytes); extract the video again"
        )
    return image


def _time_of_change(path: Path) -> int:
    """Return when a file or folder was changed, in nanoseconds."""
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise VideoReadError(f"{path}: {_cannot_be_opened(path, error)}; extract the video again") from error


def _cannot_be_opened(path: Path, error: OSError) -> str:
    where = f"leads to {os.readlink(path)}, and " if os.path.islink(path) else ""
    return f"{where}cannot be opened ({error.strerror})"
