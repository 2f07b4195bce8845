"""Which videos are to be predicted, and what each is called."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stal.data.find_videos import VIDEO_SUFFIXES
from stal.data.video.frame_folder import IMAGE_SUFFIXES
from stal.errors import ConfigError, DataNotFoundError

LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class ListedVideo:
    """A video to predict, which may turn out not to be there.

    Attributes:
        key: names what is written of it: a relative path with forward slashes, with the suffix of the file.
        path: the video file, or the folder of its frames; absolute.
        num_bytes: of the file, or of all frames; 0 if it is not there.
    """

    key: str
    path: Path
    num_bytes: int


def list_videos(named: Sequence[str]) -> list[ListedVideo]:
    """Return the videos that are named, each once, in the order in which they are.

    A video of a folder has its path below the folder as its key, any other the path that it is named by. Of a folder
    come the videos (by the suffix of their names) and the folders of numbered frames, at any depth.

    Args:
        named: videos, folders of videos, and text files (*.txt) that name either, a path a line, which is relative to
            the working directory.

    Raises:
        DataNotFoundError: a list is not there.
        ConfigError: there is no video, or two would have the same key.
    """
    found: dict[str, ListedVideo] = {}
    for name in named:
        for video in _videos_of(name):
            other = found.setdefault(video.key, video)
            if other.path != video.path:
                raise ConfigError(
                    f"{other.path} and {video.path} would both have the result {video.key}; predict them into two "
                    "folders, or name a folder that is above both"
                )
    if not found:
        raise ConfigError(
            f"{', '.join(named)}: there are no videos; of a folder those are taken whose names end with "
            f"{', '.join(VIDEO_SUFFIXES)}, and any may stand in a list ({LIST_SUFFIX}), a path a line"
        )
    return list(found.values())


def _videos_of(name: str) -> Iterator[ListedVideo]:
    """Give the videos that an argument names."""
    if not name.lower().endswith(LIST_SUFFIX):
        yield from _videos_at(name)
        return
    try:
        lines = Path(name).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataNotFoundError(f"{name}: this list of videos cannot be read ({error.strerror})") from error
    for line in lines:
        if line.strip():
            yield from _videos_at(line.strip())


def _videos_at(name: str) -> Iterator[ListedVideo]:
    """Give the video that stands at a path, or all those below it."""
    path = os.path.abspath(name)
    key = os.path.normpath(name).lstrip(os.sep)
    if key == os.pardir or key.startswith(os.pardir + os.sep):
        key = path.lstrip(os.sep)
    try:
        found = os.stat(path)
    except OSError:
        yield ListedVideo(key, Path(path), 0)  # reading it will say what is wrong
        return
    if stat.S_ISDIR(found.st_mode):
        yield from _walk(path, key, below="", seen=set())
    else:
        yield ListedVideo(key, Path(path), found.st_size)


def _walk(folder: str, key: str, below: str, seen: set[tuple[int, int]]) -> Iterator[ListedVideo]:
    """Give the videos in a folder and below it.

    Args:
        folder: absolute path.
        key: of the folder if it is a folder of frames.
        below: what is put before the names of its videos.
        seen: folders that were looked into, by device and inode: a link may lead back to one.
    """
    found = os.stat(folder)
    if (found.st_dev, found.st_ino) in seen:
        return
    seen.add((found.st_dev, found.st_ino))
    with os.scandir(folder) as listing:
        entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda entry: entry.name)
    folders = [entry for entry in entries if entry.is_dir()]
    videos = [entry for entry in entries if _has_suffix(entry.name, VIDEO_SUFFIXES) and not entry.is_dir()]
    images = [entry for entry in entries if _has_suffix(entry.name, IMAGE_SUFFIXES) and entry.is_file()]
    if images and not videos and not folders:
        yield ListedVideo(key, Path(folder), sum(image.stat().st_size for image in images))
    for entry in videos:
        # A link may lead nowhere.
        yield ListedVideo(below + entry.name, Path(entry.path), entry.stat().st_size if entry.is_file() else 0)
    for entry in folders:
        yield from _walk(entry.path, below + entry.name, f"{below}{entry.name}/", seen)


def _has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes)
