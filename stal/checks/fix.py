"""Correct what can be corrected without a doubt, into a new file."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from stal.checks.annotation_table import AnnotationTable
from stal.checks.box_forms import find_convention
from stal.checks.boxes import are_few, clip_boxes
from stal.checks.files import find_agreeing, find_resized
from stal.checks.frames import frames_are_1_based, frames_beyond, frames_may_be_1_based
from stal.checks.report import CheckReport
from stal.data.formats.tubes_json import write_tubes_json
from stal.errors import AnnotationError, ConfigError, StalError

MAX_CUT_FRAMES = 2
"""A tube that is longer than its video by more is not of this video, or counts at another frame rate."""


@dataclass(frozen=True, eq=False)
class Fix:
    """A corrected data set.

    Attributes:
        table: its annotations.
        changes: what was changed, with counts.
    """

    table: AnnotationTable
    changes: tuple[str, ...]


def check_target(source: str | Path, out: str | Path) -> None:
    """Raise a ConfigError if a corrected file cannot go to `out`, because something is there already."""
    if Path(source).suffix != ".json":
        raise ConfigError(f"--fix {out}: {source} is no annotation file of this project; only those are corrected")
    if Path(out).exists():
        raise ConfigError(f"--fix {out}: this is there already, and nothing is corrected in place; name another file")


def write_fix(fix: Fix, source: str | Path, out: str | Path) -> None:
    """Write a corrected data set; the paths of its videos still name the same files.

    Raises:
        ConfigError: as `check_target`.
        AnnotationError: something is wrong with it still that the format refuses.
    """
    check_target(source, out)
    try:
        annotations = fix.table.to_annotations()
    except StalError as error:
        raise AnnotationError(f"{source}: this cannot be corrected without a decision of yours: {error}") from error
    write_tubes_json(annotations, out)


def fix_table(report: CheckReport) -> Fix:
    """Correct a data set as far as that is safe.

    - Frames are shifted by one if all says that they start at 1, and all annotated videos agree.
    - Boxes are scaled to pixels if all boxes of all videos are shares of the image, and all annotated videos agree.
    - Tubes that are up to `MAX_CUT_FRAMES` frames longer than their video are cut, unless frames may start at 1.
    - Boxes are cut to the image, and left out where nothing is left, if those are few and nothing speaks for another
      form of boxes.
    - Tubes without boxes are left out.

    A video agrees if it was opened, and decodes to the size and the length that are annotated; nothing is cut in the
    others.

    Labels, lengths and sizes of videos, and boxes written in another way are not touched: the same evidence has several
    explanations there.

    Args:
        report: what the check of the data set found, with its videos opened.
    """
    table, changes = report.table, list[str]()
    agree, resized = find_agreeing(table, report.records), find_resized(table, report.records)
    all_agree = bool(agree[table.video_of_row].all())
    may_be_1_based = frames_may_be_1_based(table) or frames_are_1_based(table)
    if frames_are_1_based(table) and all_agree:
        changes.append(f"{len(table.frames):,} boxes: frames shifted by -1")
        table = replace(table, frames=table.frames - 1)
    convention = find_convention(table, resized)
    is_share = convention.normalised[table.video_of_row]
    if len(is_share) and is_share.all() and not convention.forms and all_agree:
        changes.append(f"{len(table.boxes):,} boxes: scaled from shares of the image to pixels")
        sizes = np.tile(table.sizes[table.video_of_row], (1, 2))
        table = replace(table, boxes=(table.boxes.astype(np.float64) * sizes).astype(np.float32))
        convention = find_convention(table, resized)
    if not may_be_1_based:
        table = _cut_frames(table, agree, changes)
    if not convention.forms and not convention.normalised.any():
        table = _cut_boxes(table, agree, changes)
    return Fix(_without_empty_tubes(table, changes), tuple(changes))


def _cut_frames(table: AnnotationTable, agree: Bool[np.ndarray, " V"], changes: list[str]) -> AnnotationTable:
    """Leave out the boxes behind the end of videos that agree, where they are few."""
    beyond = frames_beyond(table)
    furthest = np.zeros(len(table.videos), np.int64)
    np.maximum.at(furthest, table.video_of_row, beyond)
    cut = (beyond > 0) & (agree & (furthest <= MAX_CUT_FRAMES))[table.video_of_row]
    return _drop_boxes(table, cut, "behind the last frame of their video", changes)


def _cut_boxes(table: AnnotationTable, agree: Bool[np.ndarray, " V"], changes: list[str]) -> AnnotationTable:
    """Cut boxes to their image in videos that agree, and leave out those of which nothing is left."""
    touched = agree[table.video_of_row]
    clipped = clip_boxes(table.boxes, table.sizes[table.video_of_row])
    gone = touched & ~(table.is_finite & (clipped[:, 2:] > clipped[:, :2]).all(axis=1))
    if not are_few(gone):
        return table
    cut = touched & ~gone & (clipped != table.boxes).any(axis=1)
    if cut.any():
        changes.append(f"{cut.sum():,} boxes: cut to the image")
        table = replace(table, boxes=np.where(cut[:, None], clipped, table.boxes))
    return _drop_boxes(table, gone, "empty, or outside of the image", changes)


def _drop_boxes(table: AnnotationTable, drop: Bool[np.ndarray, " R"], why: str, changes: list[str]) -> AnnotationTable:
    if not drop.any():
        return table
    changes.append(f"{drop.sum():,} boxes: left out, {why}")
    keep = ~drop
    return replace(table, tube_of_row=table.tube_of_row[keep], frames=table.frames[keep], boxes=table.boxes[keep])


def _without_empty_tubes(table: AnnotationTable, changes: list[str]) -> AnnotationTable:
    keep = np.bincount(table.tube_of_row, minlength=len(table.tube_videos)) > 0
    if keep.all():
        return table
    changes.append(f"{(~keep).sum():,} tubes: left out, without a box")
    return replace(
        table,
        tube_videos=table.tube_videos[keep],
        tube_ids=table.tube_ids[keep],
        tube_labels=table.tube_labels[keep],
        label_names=tuple(name for name, is_kept in zip(table.label_names, keep.tolist(), strict=True) if is_kept),
        tube_of_row=(np.cumsum(keep) - 1)[table.tube_of_row],
    )
