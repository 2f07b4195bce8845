"""Whether the annotated videos are there, and decode to what is annotated."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from stal.checks.annotation_table import AnnotationTable
from stal.checks.counted import found_videos, list_names
from stal.checks.finding import MAX_EXAMPLES, Example, Finding
from stal.checks.opening import VideoRecord
from stal.data.find_videos import VIDEO_SUFFIXES


def check_files(table: AnnotationTable, records: Sequence[VideoRecord]) -> list[Finding]:
    """Return what is wrong with the files of videos.

    Args:
        table: the annotations.
        records: what was seen of each video.
    """
    return [*_missing(table, records), *_unnamed(table, records), *_unlike(table, records), *_mapped(table, records)]


def _missing(table: AnnotationTable, records: Sequence[VideoRecord]) -> list[Finding]:
    return [
        *found_videos(
            table,
            _where(records, lambda record: not record.is_there),
            "error",
            "files-missing",
            "annotated, and not there",
            "put them there, or correct the paths or the names; data/README.md has the layouts",
        ),
        *found_videos(
            table,
            _where(records, lambda record: record.problem is not None and record.num_decoded is None),
            "error",
            "files-unreadable",
            "that cannot be opened or decoded",
            "download or extract them again, or leave them out",
            value_of=lambda v: str(records[v].problem),
        ),
        *found_videos(
            table,
            _where(records, lambda record: record.num_damaged > 0),
            "warning",
            "files-damaged",
            "with damaged frames, parts of which the decoder makes up",
            "download them again",
            value_of=lambda v: f"{records[v].num_damaged} of {records[v].num_decoded} frames",
        ),
    ]


def _mapped(table: AnnotationTable, records: Sequence[VideoRecord]) -> list[Finding]:
    """Return the videos that decode to another number of frames than is annotated."""

    def counts(v: int) -> str:
        return f"{records[v].num_decoded} frames decode, {table.videos[v].num_frames} are annotated"

    return [
        *found_videos(
            table,
            _where(records, lambda record: record.num_decoded is not None and record.rule is None),
            "error",
            "frames-unexplained",
            "that decode to another number of frames than is annotated, which their times do not explain",
            "is the file cut off, or was it re-encoded at another rate? Get the file that was annotated",
            value_of=counts,
        ),
        *found_videos(
            table,
            _where(records, lambda record: record.rule == "clamp"),
            "warning",
            "frames-clamped",
            "without their last frame or two, for which the last one that decodes stands in",
            "nothing to do, unless the files were cut off",
            value_of=counts,
        ),
        *found_videos(
            table,
            _where(records, lambda record: record.rule == "time"),
            "note",
            "frames-held",
            "with empty packets, where the frame before is held, as the annotators saw it",
            "nothing to do: frames are mapped by their times",
            value_of=counts,
        ),
    ]


def _unlike(table: AnnotationTable, records: Sequence[VideoRecord]) -> list[Finding]:
    return found_videos(
        table,
        np.flatnonzero(find_resized(table, records)),
        "error",
        "size-disagrees",
        "that decode to another size than is annotated, of which their boxes are",
        "correct the size, or scale the boxes if they were drawn on videos of another size",
        value_of=lambda v: _sizes(table, records, v),
    )


def _where(records: Sequence[VideoRecord], is_so: Callable[[VideoRecord], bool]) -> Int64[np.ndarray, " N"]:
    return np.array([v for v, record in enumerate(records) if is_so(record)], np.int64)


def find_resized(table: AnnotationTable, records: Sequence[VideoRecord]) -> Bool[np.ndarray, " V"]:
    """Return which videos decode to another size than is annotated."""
    return np.array(
        [
            record.num_decoded is not None and (record.width, record.height) != (video.width, video.height)
            for record, video in zip(records, table.videos, strict=True)
        ],
        bool,
    )


def find_agreeing(table: AnnotationTable, records: Sequence[VideoRecord]) -> Bool[np.ndarray, " V"]:
    """Return which videos were opened, and decode to the length that is annotated, by some rule, and to the size."""
    has_rule = np.array([record.rule is not None for record in records], bool)
    return has_rule & ~find_resized(table, records)


def _sizes(table: AnnotationTable, records: Sequence[VideoRecord], v: int) -> str:
    """Return both sizes of a video, and whether one is the other one turned."""
    record, video = records[v], table.videos[v]
    text = f"decodes to {record.width} x {record.height}, annotated as {video.width} x {video.height}"
    if (record.width, record.height) != (video.height, video.width):
        return text
    if record.rotation % 180:
        return f"{text}: as it was before it is turned by {record.rotation} degrees to be shown"
    return f"{text}: width and height are exchanged"


def _unnamed(table: AnnotationTable, records: Sequence[VideoRecord]) -> list[Finding]:
    """Return the files of videos that lie beside annotated ones, and that no annotation names."""
    paths = [video.path.absolute() for video in table.videos]
    named = set(paths)
    folders = {path.parent for path, record in zip(paths, records, strict=True) if record.is_there}
    unnamed = [
        file
        for folder in sorted(folders)
        for file in _list(folder)
        if file.suffix.lower() in VIDEO_SUFFIXES and not {file, file.with_suffix("")} & named
    ]
    if not unnamed:
        return []
    where = sorted({str(file.parent) for file in unnamed})
    return [
        Finding(
            "warning",
            "files-unnamed",
            f"files beside annotated videos that no annotation names: {len(unnamed):,}, in {list_names(where, 3)}",
            "nothing to do if they are not meant to be used; else compare their names with those of the annotation",
            tuple(Example("", str(file)) for file in unnamed[:MAX_EXAMPLES]),
        )
    ]


def _list(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # it may be entered but not listed: its videos are found, and others are not for us
        return []


def choose_evenly(numbers: Int64[np.ndarray, " N"], num_wanted: int) -> Int64[np.ndarray, " M"]:
    """Return so many of the numbers, spread evenly over them, or all if there are no more."""
    if len(numbers) <= num_wanted:
        return numbers
    return numbers[np.linspace(0, len(numbers) - 1, num_wanted).round().astype(np.int64)]
