"""Draw detected tubes on the frames of a video: each with its class and score beside it."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from stal.visualize.text import cut_text, font

_SMALLEST_FONT, _LINES_PER_FRAME = 12, 30  # pixels; lines of text that the shorter side of a large frame would hold
_PADDING = 2
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_DARK = 110.0  # a ground of less luma has white text


class BoxLabel(NamedTuple):
    """What is drawn of a tube on one frame.

    Attributes:
        box: (4,) xyxy half-open pixels of the frame.
        text: beside the box.
        colour: RGB.
    """

    box: Float[np.ndarray, " 4"]
    text: str
    colour: tuple[int, int, int]


def draw_box_labels(
    frame: UInt8[np.ndarray, "H W 3"], labels: Sequence[BoxLabel], note: str = ""
) -> UInt8[np.ndarray, "H W 3"]:
    """Return the frame with boxes and their texts, which are inside the frame and, where there is room, apart.

    Args:
        frame: RGB.
        labels: the most important first: it is drawn over the others, and finds the best place for its text.
        note: text in the lower left corner.
    """
    height, width, _ = frame.shape
    letters = max(_SMALLEST_FONT, min(height, width) // _LINES_PER_FRAME)
    thickness = max(2, min(height, width) // 300)
    drawn = frame.copy()
    for box, _, colour in reversed(labels):
        x1, y1, x2, y2 = (round(float(side)) for side in box)
        cv2.rectangle(drawn, (x1, y1), (max(x1, x2 - 1), max(y1, y2 - 1)), colour, thickness)
    taken: list[tuple[int, int, int, int]] = []
    if note:
        _put(drawn, _picture(note, _BLACK, letters, width), (0, height), taken)
    for box, text, colour in labels:
        if text:
            _put(drawn, _picture(text, colour, letters, width), (round(float(box[0])), round(float(box[1]))), taken)
    return drawn


def _picture(text: str, colour: tuple[int, int, int], letters: int, max_width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return text on a ground of one colour."""
    face = font(letters)
    text = cut_text(text, face, max_width - 2 * _PADDING)
    size = (min(max_width, round(face.getlength(text)) + 2 * _PADDING), letters + 2 * _PADDING)
    image = Image.new("RGB", size, colour)
    ink = _BLACK if np.dot(colour, _LUMA) > _DARK else _WHITE
    ImageDraw.Draw(image).text((_PADDING, size[1] / 2), text, fill=ink, font=face, anchor="lm")
    return np.asarray(image)


def _put(
    frame: UInt8[np.ndarray, "H W 3"],
    picture: UInt8[np.ndarray, "h w 3"],
    corner: tuple[int, int],
    taken: list[tuple[int, int, int, int]],
) -> None:
    """Put a picture on the frame above a corner (x, y), or, if that is outside or taken, below where it is free."""
    (height, width), (rows, columns) = frame.shape[:2], picture.shape[:2]
    left = min(max(corner[0], 0), width - columns)
    places = [corner[1] + step * rows for step in range(-1, height // rows)]
    inside = [top for top in places if 0 <= top <= height - rows] or [min(max(corner[1], 0), max(height - rows, 0))]
    free = [top for top in inside if not any(_overlap((left, top, left + columns, top + rows), t) for t in taken)]
    top = (free or inside)[0]
    visible = picture[: height - top]
    frame[top : top + rows, left : left + columns] = visible
    taken.append((left, top, left + columns, top + rows))


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
