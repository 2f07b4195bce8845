"""Whether boxes are xyxy pixels of their videos: not normalised, not xywh, not y before x, not empty, not outside."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from stal.checks.annotation_table import AnnotationTable
from stal.checks.counted import found_boxes
from stal.checks.finding import Finding

_LARGEST_NORMALISED = 1.5  # boxes of detectors and careless annotators leave the image by a little
_MIN_MISFITS = 0.02  # so large a share of boxes that fit only when read in another way is no slip of annotators
_NEARLY_ALL = 0.99
_TOLERANCE_PIXELS = 0.01  # below it, a box that leaves the image was only rounded


@dataclass(frozen=True, eq=False)
class BoxConvention:
    """How the boxes of a data set are written.

    Attributes:
        normalised: (V,) videos whose boxes are shares of the image.
        is_xywh: whether the others are x, y, width, height.
        is_yx: whether the others are y1, x1, y2, x2.
    """

    normalised: Bool[np.ndarray, " V"]
    is_xywh: bool
    is_yx: bool

    @property
    def is_xyxy(self) -> bool:
        """Whether the boxes that are not normalised are what they should be."""
        return not self.is_xywh and not self.is_yx


def find_convention(table: AnnotationTable) -> BoxConvention:
    """Return how the boxes are written: another way than xyxy pixels is taken only if it explains nearly all."""
    largest = np.zeros(len(table.videos))
    np.maximum.at(largest, table.video_of_row, np.abs(table.boxes).max(axis=1, initial=0))
    normalised = (largest > 0) & (largest <= _LARGEST_NORMALISED)
    rows = ~(normalised | _is_sizeless(table))[table.video_of_row]
    boxes, sizes = table.boxes[rows].astype(np.float64), table.sizes[table.video_of_row[rows]]
    if not len(boxes):
        return BoxConvention(normalised, is_xywh=False, is_yx=False)
    exchanged = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    as_xywh = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    is_xywh = exchanged.mean() >= _MIN_MISFITS and _fit(as_xywh, sizes).mean() >= _NEARLY_ALL
    too_long = ~_fit(boxes, sizes) & ~exchanged
    is_yx = too_long.mean() >= _MIN_MISFITS and _fit(boxes[:, [1, 0, 3, 2]], sizes).mean() >= _NEARLY_ALL
    return BoxConvention(normalised, is_xywh=bool(is_xywh), is_yx=bool(is_yx and not is_xywh))


def _is_sizeless(table: AnnotationTable) -> Bool[np.ndarray, " V"]:
    """Return which videos have a size that is not positive, which is at fault then, and not their boxes."""
    return np.asarray((table.sizes <= 0).any(axis=1))


def _fit(boxes: Float64[np.ndarray, "N 4"], sizes: np.ndarray) -> Bool[np.ndarray, " N"]:
    """Return which xyxy boxes are inside their image, to within a pixel, and not empty."""
    inside = (boxes[:, :2] >= -1).all(axis=1) & (boxes[:, 2:] <= sizes + 1).all(axis=1)
    return inside & ~_has_no_area(boxes)


def check_boxes(table: AnnotationTable, resized: Bool[np.ndarray, " V"]) -> list[Finding]:
    """Return what is wrong with the coordinates of boxes.

    Args:
        table: the annotations.
        resized: videos whose annotated size is not the true one, and is not what their boxes are compared with.
    """
    convention = find_convention(table)
    findings = _normalised(table, convention.normalised)
    if not convention.is_xyxy:
        return [*findings, *(_xywh(table) if convention.is_xywh else _yx(table))]
    unknown = convention.normalised | resized | _is_sizeless(table)
    return [*findings, *_empty(table), *_outside(table, ~unknown[table.video_of_row])]


def _normalised(table: AnnotationTable, normalised: Bool[np.ndarray, " V"]) -> list[Finding]:
    return found_boxes(
        table,
        np.flatnonzero(normalised[table.video_of_row]),
        "error",
        "boxes-normalised",
        "between 0 and 1, like all of their video: shares of the image",
        "boxes are pixels here: multiply x by the width and y by the height (--fix does it if all boxes are so)",
    )


def _xywh(table: AnnotationTable) -> list[Finding]:
    return found_boxes(
        table,
        np.flatnonzero((table.extents < 0).any(axis=1)),
        "error",
        "boxes-xywh",
        "ending before they begin",
        "boxes are x1, y1, x2, y2 here: add x to the width and y to the height when reading, in a wide enough type",
        more="; as x, y, width, height nearly all fit into the image",
    )


def _yx(table: AnnotationTable) -> list[Finding]:
    return found_boxes(
        table,
        np.flatnonzero(~_fit(table.boxes.astype(np.float64), table.sizes[table.video_of_row])),
        "error",
        "boxes-yx",
        "outside of the image",
        "boxes are x1, y1, x2, y2 here: exchange x and y when reading",
        more="; as y1, x1, y2, x2 nearly all fit into it",
    )


def _empty(table: AnnotationTable) -> list[Finding]:
    return found_boxes(
        table,
        np.flatnonzero((table.extents <= 0).any(axis=1)),
        "error",
        "boxes-empty",
        "empty, or ending before they begin",
        "correct them, or leave these frames out of their tubes (--fix does that)",
    )


def _outside(table: AnnotationTable, judged: Bool[np.ndarray, " R"]) -> list[Finding]:
    """Return boxes that leave the image, of the `judged` rows that are not empty."""
    judged = judged & (table.extents > 0).all(axis=1)
    sizes = table.sizes[table.video_of_row]
    excess = excess_pixels(table.boxes, sizes)
    gone = judged & _has_no_area(clip_boxes(table.boxes, sizes))
    partly = np.flatnonzero(judged & ~gone & (excess > _TOLERANCE_PIXELS))
    return [
        *found_boxes(
            table,
            np.flatnonzero(gone),
            "error",
            "boxes-off-image",
            "wholly outside of the image",
            "were they drawn on videos of another size? (--fix leaves these frames out of their tubes)",
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


def _has_no_area(boxes: Float[np.ndarray, "R 4"]) -> Bool[np.ndarray, " R"]:
    return np.asarray((boxes[:, 2:] <= boxes[:, :2]).any(axis=1))
