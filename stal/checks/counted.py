"""Findings about some boxes, tubes or videos of a data set: what they are, how many of all, and the first of them."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64

from stal.checks.annotation_table import AnnotationTable
from stal.checks.finding import MAX_EXAMPLES, Example, Finding, Level

ValueOf = Callable[[int], str]
"""Gives the text that an example shows of a box, a tube or a video, by its number in the table."""


def found_boxes(
    table: AnnotationTable,
    rows: Int64[np.ndarray, " N"],
    level: Level,
    code: str,
    what: str,
    remedy: str,
    *,
    more: str = "",
    value_of: ValueOf | None = None,
) -> list[Finding]:
    """Return one finding, or none if there are no such boxes.

    Args:
        table: the annotations.
        rows: the boxes.
        level: of the finding.
        code: of the finding.
        what: what these boxes are; their number is written before it.
        remedy: of the finding.
        more: what else is said, behind `what`.
        value_of: what an example shows of a row; by default the box.
    """
    if not len(rows):
        return []
    videos = table.video_of_row[rows]
    count = f"{len(rows):,} of {len(table.boxes):,} boxes, {_in_videos(table, videos)}"
    value_of = value_of or (lambda row: describe_box(table, row))
    examples = (
        Example(
            table.videos[table.video_of_row[row]].key,
            value_of(row),
            tube=int(table.tube_ids[table.tube_of_row[row]]),
            frame=int(table.frames[row]),
        )
        for row in rows[:MAX_EXAMPLES].tolist()
    )
    return [Finding(level, code, f"{count}: {what}{more}", remedy, tuple(examples))]


def found_tubes(
    table: AnnotationTable,
    tubes: Int64[np.ndarray, " N"],
    level: Level,
    code: str,
    what: str,
    remedy: str,
    *,
    more: str = "",
    value_of: ValueOf | None = None,
) -> list[Finding]:
    """Return one finding, or none if there are no such tubes; arguments as of `found_boxes`, by default the class."""
    if not len(tubes):
        return []
    count = f"{len(tubes):,} of {len(table.tube_videos):,} tubes, {_in_videos(table, table.tube_videos[tubes])}"
    value_of = value_of or (lambda tube: table.label_names[tube])
    examples = (
        Example(table.videos[table.tube_videos[tube]].key, value_of(tube), tube=int(table.tube_ids[tube]))
        for tube in tubes[:MAX_EXAMPLES].tolist()
    )
    return [Finding(level, code, f"{count}: {what}{more}", remedy, tuple(examples))]


def found_videos(
    table: AnnotationTable,
    videos: Int64[np.ndarray, " N"],
    level: Level,
    code: str,
    what: str,
    remedy: str,
    *,
    more: str = "",
    value_of: ValueOf | None = None,
) -> list[Finding]:
    """Return one finding, or none if there are no such videos; arguments as of `found_boxes`, by default the path."""
    if not len(videos):
        return []
    value_of = value_of or (lambda video: str(table.videos[video].path))
    examples = (Example(table.videos[video].key, value_of(video)) for video in videos[:MAX_EXAMPLES].tolist())
    text = f"{len(videos):,} of {len(table.videos):,} videos: {what}{more}"
    return [Finding(level, code, text, remedy, tuple(examples))]


def describe_box(table: AnnotationTable, row: int) -> str:
    """Return a box, and the size of the image that it should be in."""
    video = table.videos[table.video_of_row[row]]
    box = ", ".join(f"{value:.5g}" for value in table.boxes[row].tolist())
    return f"[{box}] of {video.width} x {video.height}"


def list_names(names: list[str], num_shown: int = 30) -> str:
    """Return names as a text; of many, the first."""
    return ", ".join(names[:num_shown]) + (", ..." if len(names) > num_shown else "")


def _in_videos(table: AnnotationTable, videos: Int64[np.ndarray, " N"]) -> str:
    return f"in {len(np.unique(videos)):,} of {len(table.videos):,} videos"
