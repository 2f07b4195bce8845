"""Whether videos and tubes are whole: facts that can be, tubes with boxes, once each, that move without jumps."""

import numpy as np
from jaxtyping import Bool, Int64

from stal.checks.annotation_table import AnnotationTable
from stal.checks.box_forms import find_convention, has_no_area
from stal.checks.counted import describe_box, found_boxes, found_tubes, found_videos
from stal.checks.finding import Finding
from stal.ops.boxes import paired_iou
from stal.structures import MAX_MASKED_ID


def check_tubes(table: AnnotationTable, resized: Bool[np.ndarray, " V"]) -> list[Finding]:
    """Return what is wrong with videos and tubes as a whole.

    Args:
        table: the annotations.
        resized: videos whose annotated size is not the true one.
    """
    return [
        *_impossible_facts(table),
        *_repeated_keys(table),
        *_without_tubes(table),
        *_repeated_ids(table),
        *_ids_beyond_masks(table),
        *_without_boxes(table),
        *_jumps(table, resized),
        *_duplicates(table),
    ]


def _impossible_facts(table: AnnotationTable) -> list[Finding]:
    facts = np.concatenate([table.num_frames[:, None], table.sizes], axis=1)
    return found_videos(
        table,
        np.flatnonzero((facts <= 0).any(axis=1)),
        "error",
        "video-facts",
        "with a length, width or height that is not positive",
        "write what the videos decode to; the table of videos has it",
        value_of=lambda v: "{} frames of {} x {}".format(*facts[v]),
    )


def _repeated_keys(table: AnnotationTable) -> list[Finding]:
    _, first = np.unique([video.key for video in table.videos], return_index=True)
    return found_videos(
        table,
        np.setdiff1d(np.arange(len(table.videos)), first),
        "error",
        "keys-repeated",
        "with the name of an earlier one",
        "give every video a name of its own, or put the tubes of one video together",
    )


def _without_tubes(table: AnnotationTable) -> list[Finding]:
    if not table.videos:
        return [Finding("error", "no-videos", "0 videos: there is nothing to train on", "check that the file is whole")]
    if not len(table.tube_videos):
        what = f"0 tubes in {len(table.videos):,} videos: there is nothing to train on or to score"
        return [Finding("error", "no-tubes", what, "check that the annotation is of these videos, and their names")]
    return found_videos(
        table,
        np.flatnonzero(table.num_tubes_of() == 0),
        "warning",
        "videos-without-tubes",
        "without a tube, so that all that is detected in them is false",
        "leave them out unless it is known that nothing happens in them",
    )


def _repeated_ids(table: AnnotationTable) -> list[Finding]:
    pairs = np.stack([table.tube_videos, table.tube_ids], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    return found_tubes(
        table,
        np.setdiff1d(np.arange(len(pairs)), first),
        "error",
        "ids-repeated",
        "with the id of an earlier tube of their video",
        "number the tubes of a video, each once",
    )


def _ids_beyond_masks(table: AnnotationTable) -> list[Finding]:
    """Return tubes whose silhouette cannot be told from others, as its value is that of unknown, or none."""
    has_masks = np.array([video.masks_path is not None for video in table.videos], bool)
    is_beyond = (table.tube_ids < 0) | (table.tube_ids > MAX_MASKED_ID)
    return found_tubes(
        table,
        np.flatnonzero(is_beyond & has_masks[table.tube_videos]),
        "error",
        "ids-beyond-masks",
        f"of a video with silhouettes, with an id that these cannot hold: it is 0 to {MAX_MASKED_ID} there",
        "number the tubes of every video from 0 on, and write id + 1 where the silhouette of one is",
    )


def _without_boxes(table: AnnotationTable) -> list[Finding]:
    return found_tubes(
        table,
        np.flatnonzero(np.bincount(table.tube_of_row, minlength=len(table.tube_videos)) == 0),
        "error",
        "tubes-empty",
        "without a box",
        "leave them out (--fix does it)",
    )


def _jumps(table: AnnotationTable, resized: Bool[np.ndarray, " V"]) -> list[Finding]:
    """Return boxes that do not even touch that of the frame before."""
    if find_convention(table, resized).forms:
        return []
    solid = table.is_finite & ~has_no_area(table.boxes)
    rows = np.flatnonzero(table.follows & (table.frame_steps == 1))
    rows = rows[solid[rows] & solid[rows - 1]]
    return found_boxes(
        table,
        rows[paired_iou(table.boxes[rows - 1], table.boxes[rows]) == 0],
        "warning",
        "tubes-jump",
        "without any overlap with that of the frame before in their tube",
        "look at them: a tube that jumps from one actor to another is split into two; cuts of the video may stay",
        value_of=lambda row: f"{describe_box(table, row)}, before it {describe_box(table, row - 1)}",
    )


def _duplicates(table: AnnotationTable) -> list[Finding]:
    pairs = duplicated_tubes(table)
    original = dict(zip(pairs[::-1, 1].tolist(), pairs[::-1, 0].tolist(), strict=True))
    return found_tubes(
        table,
        np.array(sorted(original), np.int64),
        "warning",
        "tubes-duplicated",
        "with the same box on the same frame as an earlier tube of their class",
        "remove one of the two: a detection finds one of them only, and the other counts as missed",
        value_of=lambda tube: f"{table.label_names[tube]}, like tube {table.tube_ids[original[tube]]}",
    )


def duplicated_tubes(table: AnnotationTable) -> Int64[np.ndarray, "P 2"]:
    """Return the pairs of tubes of one video and class, the earlier first, that have the same box on a frame."""
    tube = table.tube_of_row
    corners = np.ascontiguousarray(table.boxes + np.float32(0)).view(np.int32)  # + 0: of the two zeros, one remains
    keys = np.column_stack([table.tube_videos[tube], table.tube_labels[tube], table.frames, corners.astype(np.int64)])
    order = np.lexsort((tube, *keys.T[::-1]))
    same = (keys[order][1:] == keys[order][:-1]).all(axis=1)
    earlier, later = tube[order[:-1][same]], tube[order[1:][same]]
    return np.unique(np.stack([earlier, later], axis=1)[earlier != later], axis=0)
