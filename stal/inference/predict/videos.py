"""Which videos are to be predicted, and what each is called."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stal.data.find_videos import VIDEO_SUFFIXES, video_key
from stal.data.video.frame_folder import IMAGE_SUFFIXES
from stal.errors import ConfigError, DataNotFoundError

LIST_SUFFIX = ".txt"

_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # the last is a link to itself


@dataclass(frozen=True)
class ListedVideo:
    """A video to predict, which may turn out not to be there.

    Attributes:
        key: names what is written of it: a relative path with forward slashes, with the suffix of the file.
        path: the video file, or the folder of its frames; absolute.
        num_bytes: of the file, or of all frames; 0 if it is not there.
        shares_name: whether another video that is listed has the same name, in another folder.
    """

    key: str
    path: Path
    num_bytes: int
    shares_name: bool = False

    @property
    def name(self) -> str:
        """Of the file without the suffix of a video, or of the folder of frames."""
        return video_key(self.path.name)


def list_videos(named: Sequence[str], drawn: Path | None = None) -> list[ListedVideo]:
    """Return the videos that are named, each once, in the order in which they are.

    A video of a folder has its path below the folder as its key, any other the path that it is named by. Of a folder
    come the videos (by the suffix of their names) and the folders of numbered frames, at any depth.

    Args:
        named: videos, folders of videos, and text files (*.txt) that name either, a path a line, which is relative to
            the working directory.
        drawn: a folder that is passed over wherever it is met: what an earlier run has drawn.

    Raises:
        DataNotFoundError: a list is not there, or a file or folder cannot be looked at.
        ConfigError: there is no video, or two would have the same key.
    """
    found: dict[str, ListedVideo] = {}
    seen_before = {_identity(drawn)} if drawn is not None and drawn.is_dir() else set()
    for name in named:
        for video in _videos_of(name, seen_before):
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
    num_named = Counter(video.name for video in found.values())
    return [replace(video, shares_name=True) if num_named[video.name] > 1 else video for video in found.values()]


def _videos_of(name: str, seen: set[tuple[int, int]]) -> Iterator[ListedVideo]:
    """Give the videos that an argument names."""
    if not name.lower().endswith(LIST_SUFFIX):
        yield from _videos_at(name, seen)
        return
    try:
        lines = Path(name).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataNotFoundError(f"{name}: this list of videos cannot be read ({error.strerror})") from error
    for line in lines:
        if line.strip():
            yield from _videos_at(line.strip(), seen)


def _videos_at(name: str, seen: set[tuple[int, int]]) -> Iterator[ListedVideo]:
    """Give the video that stands at a path, or all those below it."""
    path = os.path.abspath(name)
    key = os.path.normpath(name).lstrip(os.sep)
    if key == os.pardir or key.startswith(os.pardir + os.sep):
        key = path.lstrip(os.sep)
    found = _look(path)
    if found is not None and stat.S_ISDIR(found.st_mode):
        yield from _walk(path, key, below="", seen=set(seen))
    else:
        yield ListedVideo(key, Path(path), found.st_size if found else 0)  # reading it will say what is wrong


def _walk(folder: str, key: str, below: str, seen: set[tuple[int, int]]) -> Iterator[ListedVideo]:
    """Give the videos in a folder and below it.

    Args:
        folder: absolute path.
        key: of the folder if it is a folder of frames.
        below: what is put before the names of its videos.
        seen: folders that were looked into, by device and inode: a link may lead back to one.

    Raises:
        DataNotFoundError: a folder or a file cannot be looked at.
    """
    identity = _identity(folder)
    if identity in seen:
        return
    seen.add(identity)
    try:
        with os.scandir(folder) as listing:
            entries = sorted((each for each in listing if not each.name.startswith(".")), key=lambda each: each.name)
    except OSError as error:
        raise _cannot_be_looked_at(folder, error) from error
    folders = [entry for entry in entries if _is_dir(entry)]
    others = [entry for entry in entries if not _is_dir(entry)]
    videos = [entry for entry in others if _has_suffix(entry.name, VIDEO_SUFFIXES)]
    images = [entry for entry in others if _has_suffix(entry.name, IMAGE_SUFFIXES)]
    if any(map(_is_numbered, images)) and not videos and not folders:
        yield ListedVideo(key, Path(folder), sum(map(_num_bytes, images)))
    for entry in videos:
        yield ListedVideo(below + entry.name, Path(entry.path), _num_bytes(entry))
    for entry in folders:
        yield from _walk(entry.path, below + entry.name, f"{below}{entry.name}/", seen)


def _look(path: str) -> os.stat_result | None:
    """Return what the system says of a path, None if nothing is there.

    All else is an error, also where it may pass: each process lists the videos, and all must see the same.
    """
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise _cannot_be_looked_at(path, error) from error


def _cannot_be_looked_at(path: str, error: OSError) -> DataNotFoundError:
    return DataNotFoundError(
        f"{path}: cannot be looked at ({error.strerror}); make it readable, or name only videos that are, in a list "
        f"({LIST_SUFFIX})"
    )


def _identity(folder: str | Path) -> tuple[int, int]:
    try:
        found = os.stat(folder)
    except OSError as error:
        raise _cannot_be_looked_at(str(folder), error) from error
    return found.st_dev, found.st_ino


def _is_dir(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder; the system is asked about links alone, for which the listing does not say it."""
    if not entry.is_symlink():
        return entry.is_dir()
    found = _look(entry.path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def _num_bytes(entry: os.DirEntry[str]) -> int:
    """Return the size of a file, 0 for a link that leads nowhere."""
    found = _look(entry.path)
    return found.st_size if found else 0


def _is_numbered(image: os.DirEntry[str]) -> bool:
    return os.path.splitext(image.name)[0][-1:].isdecimal()


def _has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes)
