"""Correct what can be corrected without a doubt, into a new file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from stal.checks.annotation_table import AnnotationTable
from stal.checks.boxes import clip_boxes, find_convention
from stal.checks.finding import Finding
from stal.checks.frames import frames_are_1_based, frames_beyond
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


def fix_table(table: AnnotationTable, findings: Sequence[Finding]) -> Fix:
    """Correct a data set as far as that is safe.

    - Frames are shifted by one if all says that they start at 1, and the videos decode to as many as are annotated.
    - Boxes are scaled to pixels if all boxes of all videos are shares of the image.
    - Tubes that are up to `MAX_CUT_FRAMES` frames longer than their video are cut.
    - Boxes are cut to the image, and left out where nothing is left, unless they may be pixels of another size, or be
      written in another way.
    - Tubes without boxes are left out.

    Labels, lengths and sizes of videos, and boxes written in another way are not touched: the same evidence has several
    explanations there.

    Args:
        table: the data set.
        findings: what its check found.
    """
    codes = {finding.code for finding in findings}
    changes: list[str] = []
    if frames_are_1_based(table) and "frames-unexplained" not in codes:
        changes.append(f"{len(table.frames):,} boxes: frames shifted by -1")
        table = replace(table, frames=table.frames - 1)
    convention = find_convention(table)
    has_boxes = np.bincount(table.video_of_row, minlength=len(table.videos)) > 0
    if has_boxes.any() and convention.normalised[has_boxes].all():
        changes.append(f"{len(table.boxes):,} boxes: scaled from shares of the image to pixels")
        sizes = np.tile(table.sizes[table.video_of_row], (1, 2))
        table = replace(table, boxes=(table.boxes.astype(np.float64) * sizes).astype(np.float32))
        convention = find_convention(table)
    if not frames_are_1_based(table):
        table = _cut_frames(table, changes)
    if convention.is_xyxy and not convention.normalised.any() and "size-disagrees" not in codes:
        table = _cut_boxes(table, changes)
    return Fix(_without_empty_tubes(table, changes), tuple(changes))


def _cut_frames(table: AnnotationTable, changes: list[str]) -> AnnotationTable:
    """Leave out the boxes behind the end of videos, where they are few."""
    beyond = frames_beyond(table)
    furthest = np.zeros(len(table.videos), np.int64)
    np.maximum.at(furthest, table.video_of_row, beyond)
    keep = (beyond <= 0) | (furthest[table.video_of_row] > MAX_CUT_FRAMES)
    return _keep_boxes(table, keep, "behind the last frame of their video", changes)


def _cut_boxes(table: AnnotationTable, changes: list[str]) -> AnnotationTable:
    """Cut boxes to their image, and leave out those of which nothing is left."""
    cut = clip_boxes(table.boxes, table.sizes[table.video_of_row])
    keep = np.asarray((cut[:, 2:] > cut[:, :2]).all(axis=1))
    num_cut = int(((cut != table.boxes).any(axis=1) & keep).sum())
    if num_cut:
        changes.append(f"{num_cut:,} boxes: cut to the image")
    return _keep_boxes(replace(table, boxes=cut), keep, "empty, or outside of the image", changes)


def _keep_boxes(table: AnnotationTable, keep: Bool[np.ndarray, " R"], why: str, changes: list[str]) -> AnnotationTable:
    if keep.all():
        return table
    changes.append(f"{(~keep).sum():,} boxes: left out, {why}")
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
