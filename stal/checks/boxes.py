"""Whether boxes are xyxy pixels of their videos: not normalised, not xywh, not y before x, not empty, not outside."""

import numpy as np
from jaxtyping import Bool, Float32, Float64

from stal.checks.annotation_table import AnnotationTable
from stal.checks.box_forms import (
    MIN_MISFITS,
    BoxConvention,
    BoxForm,
    find_convention,
    fit_images,
    has_no_area,
    is_sizeless,
)
from stal.checks.counted import found_boxes
from stal.checks.finding import Finding

_TOLERANCE_PIXELS = 0.01  # below it, a box that leaves the image was only rounded


def check_boxes(table: AnnotationTable, resized: Bool[np.ndarray, " V"]) -> list[Finding]:
    """Return what is wrong with the coordinates of boxes.

    Args:
        table: the annotations.
        resized: videos whose annotated size is not the true one, and is not what their boxes are compared with.
    """
    convention = find_convention(table, resized)
    in_pixels = table.is_finite & ~convention.normalised[table.video_of_row]
    findings = [*_not_finite(table), *_normalised(table, convention)]
    judged = in_pixels & ~(resized | is_sizeless(table))[table.video_of_row]
    if convention.forms:
        return [*findings, *_of_another_form(table, judged, convention.forms)]
    return [*findings, *_empty(table, in_pixels), *_outside(table, judged)]


def _not_finite(table: AnnotationTable) -> list[Finding]:
    return found_boxes(
        table,
        np.flatnonzero(~table.is_finite),
        "error",
        "boxes-not-finite",
        "with a coordinate that is no number, or infinite",
        "correct them, or leave these frames out of their tubes (--fix does that where they are few)",
    )


def _normalised(table: AnnotationTable, convention: BoxConvention) -> list[Finding]:
    remedy = "boxes are pixels here: multiply x by the width and y by the height"
    return found_boxes(
        table,
        np.flatnonzero(convention.normalised[table.video_of_row] & table.is_finite),
        "error",
        "boxes-normalised",
        "between 0 and 1, like all of their video: shares of the image",
        f"{remedy}; then {convention.forms[0].remedy}"
        if convention.forms
        else f"{remedy} (--fix does it if all boxes are so)",
        more=_readings(convention.forms),
    )


def _of_another_form(
    table: AnnotationTable, judged: Bool[np.ndarray, " R"], forms: tuple[BoxForm, ...]
) -> list[Finding]:
    sizes = table.sizes[table.video_of_row]
    remedy = forms[0].remedy
    if len(forms) > 1:
        remedy = f"{remedy}; but look at the frames in the page first, since there are several readings"
    return found_boxes(
        table,
        np.flatnonzero(judged & ~fit_images(table.boxes.astype(np.float64), sizes)),
        "error",
        forms[0].code,
        "ending before they begin, or outside of the image",
        remedy,
        more=_readings(forms),
    )


def _readings(forms: tuple[BoxForm, ...]) -> str:
    """Return as what boxes fit into their images, in words."""
    return f"; as {', and as '.join(form.words for form in forms)} nearly all fit into it" if forms else ""


def _empty(table: AnnotationTable, judged: Bool[np.ndarray, " R"]) -> list[Finding]:
    """Return boxes without an area, of the `judged` rows."""
    empty = judged & has_no_area(table.boxes)
    remedy = "correct them, or leave these frames out of their tubes (--fix does that)"
    if not are_few(empty):
        remedy = (
            "so many are no slip, and --fix does not touch them: are they x, y, width, height, are x and y centres, or "
            "are their corners exchanged? Correct how they are read"
        )
    return found_boxes(
        table, np.flatnonzero(empty), "error", "boxes-empty", "empty, or ending before they begin", remedy
    )


def are_few(boxes: Bool[np.ndarray, " R"]) -> bool:
    """Whether so few boxes are True that they may be slips of annotators."""
    return bool(boxes.mean() < MIN_MISFITS) if len(boxes) else True


def _outside(table: AnnotationTable, judged: Bool[np.ndarray, " R"]) -> list[Finding]:
    """Return boxes that leave the image, of the `judged` rows that are not empty."""
    judged = judged & ~has_no_area(table.boxes)
    sizes = table.sizes[table.video_of_row]
    excess = excess_pixels(table.boxes, sizes)
    gone = judged & has_no_area(clip_boxes(table.boxes, sizes))
    partly = np.flatnonzero(judged & ~gone & (excess > _TOLERANCE_PIXELS))
    return [
        *found_boxes(
            table,
            np.flatnonzero(gone),
            "error",
            "boxes-off-image",
            "wholly outside of the image",
            "were they drawn on videos of another size? (--fix leaves these frames out of their tubes if they are few)",
        ),
        *found_boxes(
            table,
            partly,
            "warning",
            "boxes-outside",
            "partly outside of the image",
            "cut them to the image (--fix does it)",
            more=f", by {np.median(excess[partly]) if len(partly) else 0:.3g} pixels in the median and "
            f"{excess[partly].max(initial=0):.4g} at most",
        ),
    ]


def excess_pixels(boxes: Float32[np.ndarray, "R 4"], sizes: np.ndarray) -> Float64[np.ndarray, " R"]:
    """Return by how many pixels each box leaves its image, of (width, height), on the side where it is most."""
    boxes = boxes.astype(np.float64)
    return np.maximum(-boxes[:, :2], boxes[:, 2:] - sizes).max(axis=1, initial=0)


def clip_boxes(boxes: Float32[np.ndarray, "R 4"], sizes: np.ndarray) -> Float32[np.ndarray, "R 4"]:
    """Return the boxes cut to their images, of (width, height); those that are outside have no area."""
    return np.clip(boxes, 0, np.tile(sizes, (1, 2))).astype(np.float32)
