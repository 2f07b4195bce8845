"""How the boxes of a data set are written: as xyxy pixels, as shares of the image, or with other numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from stal.checks.annotation_table import AnnotationTable

MIN_MISFITS = 0.02
"""So large a share of boxes that are not what they should be is no slip of annotators."""

_LARGEST_NORMALISED = 1.5  # boxes of detectors and careless annotators leave the image by a little
_NEARLY_ALL = 0.99


@dataclass(frozen=True)
class BoxForm:
    """A way to write boxes other than x1, y1, x2, y2.

    Attributes:
        code: of the finding.
        words: the four numbers.
        remedy: of the finding.
        to_xyxy: gives x1, y1, x2, y2 of boxes that are written so.
    """

    code: str
    words: str
    remedy: str
    to_xyxy: Callable[[np.ndarray], np.ndarray]


_XYWH = BoxForm(
    "boxes-xywh",
    "x, y, width, height",
    "boxes are x1, y1, x2, y2 here: add x to the width and y to the height when reading, in a wide enough type",
    lambda boxes: np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
)
_CXCYWH = BoxForm(
    "boxes-cxcywh",
    "centre x, centre y, width, height",
    "boxes are x1, y1, x2, y2 here: take half of the width and height from the centre, and add it to it, when reading",
    lambda boxes: np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1),
)
_X2Y2X1Y1 = BoxForm(
    "boxes-corners-exchanged",
    "x2, y2, x1, y1",
    "boxes are x1, y1, x2, y2 here: exchange the corners when reading",
    lambda boxes: boxes[:, [2, 3, 0, 1]],
)
_YXYX = BoxForm(
    "boxes-yx",
    "y1, x1, y2, x2",
    "boxes are x1, y1, x2, y2 here: exchange x and y when reading",
    lambda boxes: boxes[:, [1, 0, 3, 2]],
)


@dataclass(frozen=True, eq=False)
class BoxConvention:
    """How the boxes of a data set are written.

    Attributes:
        normalised: (V,) videos whose boxes are shares of the image.
        forms: the ways in which nearly all boxes fit into their images, the likeliest first, while too many do not as
            x1, y1, x2, y2; empty if boxes are that, as they should be, or if none explains them.
    """

    normalised: Bool[np.ndarray, " V"]
    forms: tuple[BoxForm, ...]


def find_convention(table: AnnotationTable, resized: Bool[np.ndarray, " V"]) -> BoxConvention:
    """Return how the boxes are written: another way than xyxy pixels is taken only if it explains nearly all.

    Args:
        table: the annotations.
        resized: videos whose annotated size is not the true one, so that their boxes tell nothing.
    """
    normalised = _find_normalised(table)
    rows = table.is_finite & ~(resized | is_sizeless(table))[table.video_of_row]
    boxes, sizes = table.boxes[rows].astype(np.float64), table.sizes[table.video_of_row[rows]]
    if not len(boxes):
        return BoxConvention(normalised, ())
    boxes = np.where(normalised[table.video_of_row[rows], None], boxes * np.tile(sizes, (1, 2)), boxes)
    behind = boxes[:, 2:] < boxes[:, :2]
    candidates: tuple[BoxForm, ...] = ()
    if behind.any(axis=1).mean() >= MIN_MISFITS:
        # Whoever exchanges corners does so with all; of small boxes, a centre and a size look like that too.
        candidates = (_XYWH, _X2Y2X1Y1, _CXCYWH) if behind.all(axis=1).mean() >= _NEARLY_ALL else (_XYWH, _CXCYWH)
    elif (~fit_images(boxes, sizes)).mean() >= MIN_MISFITS:
        candidates = (_YXYX,)
    forms = (form for form in candidates if fit_images(form.to_xyxy(boxes), sizes).mean() >= _NEARLY_ALL)
    return BoxConvention(normalised, tuple(forms))


def _find_normalised(table: AnnotationTable) -> Bool[np.ndarray, " V"]:
    largest = np.zeros(len(table.videos))
    rows = table.is_finite
    np.maximum.at(largest, table.video_of_row[rows], np.abs(table.boxes[rows]).max(axis=1, initial=0))
    return (largest > 0) & (largest <= _LARGEST_NORMALISED)


def is_sizeless(table: AnnotationTable) -> Bool[np.ndarray, " V"]:
    """Return which videos have a size that is not positive, which is at fault then, and not their boxes."""
    return np.asarray((table.sizes <= 0).any(axis=1))


def fit_images(boxes: Float64[np.ndarray, "N 4"], sizes: np.ndarray) -> Bool[np.ndarray, " N"]:
    """Return which xyxy boxes are inside their image, of (width, height), to within a pixel, and not empty."""
    inside = (boxes[:, :2] >= -1).all(axis=1) & (boxes[:, 2:] <= sizes + 1).all(axis=1)
    return inside & ~has_no_area(boxes)


def has_no_area(boxes: Float[np.ndarray, "R 4"]) -> Bool[np.ndarray, " R"]:
    """Return which xyxy boxes are empty, or end before they begin."""
    return np.asarray((boxes[:, 2:] <= boxes[:, :2]).any(axis=1))
