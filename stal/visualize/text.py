"""Text on pictures, in a face that has most alphabets and the signs of mathematics."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

LINE_PIXELS = 16
"""Height of a line of text."""

_LARGEST, _SMALLEST = 12, 10  # pixels; smaller letters cannot be read
_MARGIN = 4


def text_line(text: str, width: int, *, left: int = _MARGIN) -> UInt8[np.ndarray, "H W 3"]:
    """Return a line of white text on black, `LINE_PIXELS` high.

    Text that is too long is set a little smaller, and cut where even that does not fit.

    Args:
        text: without line breaks.
        width: of the line, in pixels.
        left: where the text begins, in pixels.
    """
    line = Image.new("RGB", (width, LINE_PIXELS))
    room = max(width - left - _MARGIN, 1)
    size = next((size for size in range(_LARGEST, _SMALLEST, -1) if font(size).getlength(text) <= room), _SMALLEST)
    ImageDraw.Draw(line).text((left, LINE_PIXELS / 2), cut_text(text, font(size), room), font=font(size), anchor="lm")
    return np.asarray(line)


def cut_text(text: str, face: ImageFont.FreeTypeFont, room: int) -> str:
    """Return `text`, or as much of it as fits into `room` pixels with an ellipsis."""
    if face.getlength(text) <= room:
        return text
    while text and face.getlength(text + "…") > room:
        text = text[:-1].rstrip()
    return text + "…"


@cache
def font(pixels: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), pixels)
