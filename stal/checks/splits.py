"""Whether training and test are apart: no video, no file and no group of one recording in both."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from stal.checks.annotation_table import AnnotationTable
from stal.checks.finding import MAX_EXAMPLES, Example, Finding
from stal.data.video.frame_folder import IMAGE_SUFFIXES

TRAIN = "train"
_GROUP = re.compile(r"(.*_g\d+)_c\d+")  # UCF101: clips of one group are cut from one recording
_READ_BYTES = 2**20


def check_splits(table: AnnotationTable, there: Sequence[bool]) -> list[Finding]:
    """Return what training and test, or two videos, have in common.

    Args:
        table: the annotations.
        there: for each video, whether there is a file or folder that may be read.
    """
    return [*_groups(table), *_paths(table), *_contents(table, there)]


def check_train_split(table: AnnotationTable) -> list[Finding]:
    """Return a finding if no video is of split `train`: an error if it looks like a slip; there may be tests only."""
    if TRAIN in table.splits or not table.splits:
        return []
    is_slip = any(not split or get_close_matches(split.casefold(), [TRAIN], cutoff=0.7) for split in table.splits)
    return [
        Finding(
            "error" if is_slip else "warning",
            "split-missing",
            f"no video of split {TRAIN!r}, which configs train on: the splits are {list_splits(table)}",
            f'write "split": "{TRAIN}" for the videos to train on; nothing to do if this is for tests alone',
        )
    ]


def list_splits(table: AnnotationTable) -> str:
    """Return the names of the splits as a text."""
    return ", ".join(map(repr, table.splits)) or "none"


def _groups(table: AnnotationTable) -> list[Finding]:
    groups: dict[str, list[int]] = defaultdict(list)
    for v, video in enumerate(table.videos):
        if named := _GROUP.fullmatch(video.key):
            groups[named[1]].append(v)
    shared = [members for members in groups.values() if _leaks(table, members)]
    if not shared:
        return []
    num_train = sum(table.videos[v].split == TRAIN for members in shared for v in members)
    return [
        Finding(
            "error",
            "leak-groups",
            f"{len(shared):,} of {len(groups):,} groups of clips from one recording: in training and in a test, "
            f"{num_train:,} clips of them in training",
            "take the official splits, which keep groups together",
            _examples(table, shared),
        )
    ]


def _paths(table: AnnotationTable) -> list[Finding]:
    shared = _alike((str(video.path.absolute()), v) for v, video in enumerate(table.videos))
    return _shared(table, shared, "paths", "of the same file", "name every file once")


def _contents(table: AnnotationTable, there: Sequence[bool]) -> list[Finding]:
    """Return videos with the same bytes in different files: sizes are compared first, then digests.

    A file that cannot be read, such as a link to nowhere in a folder of frames, makes its video like no other; that it
    cannot be read is found where videos are opened.
    """
    first_of_path = {video.path.absolute(): v for v, video in reversed(list(enumerate(table.videos))) if there[v]}
    sizes = _alike((size, v) for path, v in first_of_path.items() if (size := _size(path)) and size[1] > 0)
    digests = ((_digest(table.videos[v].path) or v, v) for members in sizes for v in members)
    return _shared(table, _alike(digests), "files", "with the same bytes", "remove the copies")


def _shared(table: AnnotationTable, shared: Sequence[list[int]], code: str, what: str, remedy: str) -> list[Finding]:
    """Return a finding for the videos that leak from training into a test, and one for the others."""
    leaks = [members for members in shared if _leaks(table, members)]
    others = [members for members in shared if not _leaks(table, members)]
    findings, num_videos = [], f"{len(table.videos):,}"
    if leaks:
        text = (
            f"{sum(map(len, leaks)):,} of {num_videos} videos: {what} as another, some in training and some in a test"
        )
        findings.append(Finding("error", f"leak-{code}", text, f"{remedy}, in one split", _examples(table, leaks)))
    if others:
        text = f"{sum(map(len, others)):,} of {num_videos} videos: {what} as another"
        findings.append(Finding("warning", f"{code}-repeated", text, remedy, _examples(table, others)))
    return findings


def _leaks(table: AnnotationTable, members: Iterable[int]) -> bool:
    splits = {table.videos[v].split for v in members}
    return TRAIN in splits and len(splits) > 1


def _alike(items: Iterable[tuple[Hashable, int]]) -> list[list[int]]:
    """Return the videos that have the same value, two or more together, in their order."""
    by_value: dict[Hashable, list[int]] = defaultdict(list)
    for value, v in items:
        by_value[value].append(v)
    return sorted(sorted(members) for members in by_value.values() if len(members) > 1)


def _examples(table: AnnotationTable, shared: Sequence[list[int]]) -> tuple[Example, ...]:
    """Return the first video of each set, with one of the others: one of another split if there is any."""
    examples = []
    for first, *others in shared[:MAX_EXAMPLES]:
        one = table.videos[first]
        other = min((table.videos[v] for v in others), key=lambda video: video.split == one.split)
        examples.append(Example(one.key, f"split {one.split!r}, as {other.key} of split {other.split!r}"))
    return tuple(examples)


def _size(path: Path) -> tuple[int, int] | None:
    """Return of how many files a video consists, and of how many bytes; None if they cannot be looked at."""
    try:
        sizes = [file.stat().st_size for file in _files(path)]
    except OSError:
        return None
    return len(sizes), sum(sizes)


def _digest(path: Path) -> bytes | None:
    """Return what only the same bytes have in common; None if they cannot be read."""
    digest = hashlib.sha256()
    try:
        for file in _files(path):
            with file.open("rb") as stream:
                while block := stream.read(_READ_BYTES):
                    digest.update(block)
    except OSError:
        return None
    return digest.digest()


def _files(path: Path) -> list[Path]:
    """Return the file of a video, or those of a folder of frames."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
