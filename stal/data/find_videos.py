"""Find the videos that an annotation names."""

from collections.abc import Iterable
from pathlib import Path

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov")


def video_key(name: str) -> str:
    """Return the key of a video by the name of its file: the name without the suffix of a video."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix}".lower() in VIDEO_SUFFIXES else name


def find_videos(root: str | Path, keys: Iterable[str]) -> dict[str, Path]:
    """Return where the videos are, by key; a key whose video is not there is left out.

    A video with key `Biking/v_Biking_g01_c01` is `<root>/Biking/v_Biking_g01_c01.avi` or another of `VIDEO_SUFFIXES`
    (in that order, in lower or upper case), or else the folder of its frames `<root>/Biking/v_Biking_g01_c01`.
    Every folder is listed once, which is far faster than asking for every file on a network disk.

    Args:
        root: the folder of videos.
        keys: keys of videos, with forward slashes; one may end with the suffix of the video.
    """
    root = Path(root)
    listings: dict[Path, dict[str, Path]] = {}
    found: dict[str, Path] = {}
    for key in keys:
        wanted = root / key
        if wanted.parent not in listings:
            listings[wanted.parent] = list_videos(wanted.parent)
        video = listings[wanted.parent].get(wanted.name)
        if video is not None:
            found[key] = video
    return found


def list_videos(folder: Path) -> dict[str, Path]:
    """Return the videos and folders of a folder, by name; a video also by its name without the suffix.

    Args:
        folder: is empty if it does not exist.
    """
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    videos = {entry.name: entry for entry in entries if entry.is_dir()}
    for suffix in reversed(VIDEO_SUFFIXES):  # the first one wins
        for entry in entries:
            if entry.suffix.lower() == suffix and entry.is_file():
                videos[entry.stem] = videos[entry.name] = entry
    return videos
