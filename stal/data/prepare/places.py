"""Where the copies of videos go: inside of their folder, apart from each other and from the sources."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from stal.errors import AnnotationError, ConfigError
from stal.structures import Video


def choose_places(videos: Sequence[Video], out: Path, place_of: Callable[[str], PurePosixPath]) -> dict[str, Path]:
    """Return where the copy of each video goes, by its key.

    Args:
        videos: with their sources.
        out: the folder of all copies, resolved.
        place_of: gives the place below `out` for a key.

    Raises:
        AnnotationError: a key leads out of the folder, or two share a place.
        ConfigError: `out` is a folder of sources, or has some in it.
    """
    keys: dict[PurePosixPath, str] = {}
    for video in videos:
        _check_key(video.key)
        _check_apart(video, out)
        place = place_of(video.key)
        if place in keys:
            raise AnnotationError(f"videos {keys[place]!r} and {video.key!r} would both be copied to {out / place}")
        keys[place] = video.key
    for place, key in keys.items():
        above = next((parent for parent in place.parents if parent in keys), None)
        if above is not None:
            raise AnnotationError(f"video {key!r} would be copied into the copy of video {keys[above]!r}; rename one")
    return {key: out / place for place, key in keys.items()}


def _check_key(key: str) -> None:
    """Raise unless a key names a file below a folder."""
    path = PurePosixPath(key)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in key:
        raise AnnotationError(f"video {key!r}: the copy is named by the key, and this one leads out of its folder")


def _check_apart(video: Video, out: Path) -> None:
    """Raise if the copies would stand among the sources, or the sources stand among the copies."""
    source = video.path.resolve()
    parents = PurePosixPath(video.key).parts[:-1]
    # Videos are mostly laid out by their keys: `videos/Biking/v_Biking_g01_c01.avi`
    by_key = source.parts[-len(parents) - 1 : -1] == parents
    folder = source.parents[len(parents)] if by_key else source.parent
    if out.is_relative_to(folder):
        raise ConfigError(f"{out} is inside of the folder of the videos, {folder}; name a folder outside of it")
    if source.is_relative_to(out):
        raise ConfigError(f"{out} holds video {video.key} itself, {source}; name another folder for the copies")
