"""Draw boxes and captions on frames. Frames are (T, H, W, 3) uint8 RGB; what comes back is a new array."""

from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8

from stal.visualize.text import text_line

_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")  # Okabe & Ito 2008


def colour(index: int) -> tuple[int, int, int]:
    """Return the RGB colour of an actor or a class, by its number."""
    red, green, blue = matplotlib.colors.to_rgb(_COLOURS[index % len(_COLOURS)])
    return round(255 * red), round(255 * green), round(255 * blue)


def fit_scale(width: int, min_width: int, max_width: int) -> float:
    """Return by how much frames are to be scaled so that their width comes into a range: a whole number if enlarged."""
    return float(-(-min_width // width)) if width < min_width else min(1.0, max_width / width)


def resize(frames: UInt8[np.ndarray, "T H W 3"], scale: float) -> UInt8[np.ndarray, "T H2 W2 3"]:
    """Return frames `scale` times as large: larger ones let lines and text on small videos be read."""
    _, height, width, _ = frames.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return np.stack([cv2.resize(frame, size, interpolation=interpolation) for frame in frames])


def draw_boxes(
    frames: UInt8[np.ndarray, "T H W 3"],
    boxes: Float[np.ndarray, "T 4"],
    colour: tuple[int, int, int],
    thickness: int = 1,
) -> UInt8[np.ndarray, "T H W 3"]:
    """Draw one box on every frame; a box without area is left out.

    Args:
        frames: the video.
        boxes: xyxy half-open pixels of these frames.
        colour: RGB.
        thickness: of the line, in pixels.
    """
    drawn = frames.copy()
    for frame, (x1, y1, x2, y2) in zip(drawn, boxes, strict=True):
        if x2 > x1 and y2 > y1:
            left, top = round(x1), round(y1)
            corners = (left, top), (max(round(x2) - 1, left), max(round(y2) - 1, top))
            cv2.rectangle(frame, *corners, color=colour, thickness=thickness)
    return drawn


def draw_outlined_boxes(
    frames: UInt8[np.ndarray, "T H W 3"], boxes: Float[np.ndarray, "T 4"], colour: tuple[int, int, int]
) -> UInt8[np.ndarray, "T H W 3"]:
    """Draw one box on every frame, two pixels wide with a black border, so that it is seen on every ground."""
    return draw_boxes(draw_boxes(frames, boxes, (0, 0, 0), thickness=4), boxes, colour, thickness=2)


def draw_caption(
    frames: UInt8[np.ndarray, "T H W 3"], lines: Sequence[str | UInt8[np.ndarray, "h W 3"]]
) -> UInt8[np.ndarray, "T H2 W 3"]:
    """Add a black band below every frame.

    Args:
        frames: the video.
        lines: what stands in the band, from top to bottom: text, or a picture as wide as the frames.
    """
    width = frames.shape[2]
    band = np.concatenate([text_line(line, width) if isinstance(line, str) else line for line in lines])
    return np.concatenate([frames, np.broadcast_to(band, (len(frames), *band.shape))], axis=1)
