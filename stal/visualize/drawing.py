"""Draw boxes, text and heat over frames. Frames are (T, H, W, 3) uint8 RGB; what comes back is a new array."""

from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8

_HEAT = "inferno"  # perceptually uniform, and readable without colour vision
_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")  # Okabe & Ito 2008


def colour(index: int) -> tuple[int, int, int]:
    """Return the RGB colour of an actor or a class, by its number."""
    red, green, blue = matplotlib.colors.to_rgb(_COLOURS[index % len(_COLOURS)])
    return round(255 * red), round(255 * green), round(255 * blue)


def enlarge(frames: UInt8[np.ndarray, "T H W 3"], factor: int) -> UInt8[np.ndarray, "T H2 W2 3"]:
    """Return frames `factor` times as large, so that lines and text on small videos can be read."""
    _, height, width, _ = frames.shape
    size = (width * factor, height * factor)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames])


def draw_heat(
    frames: UInt8[np.ndarray, "T H W 3"], heat: Float[np.ndarray, "T h w"], gamma: float = 0.5
) -> UInt8[np.ndarray, "T H W 3"]:
    """Lay heat over darkened grey frames.

    Args:
        frames: the video.
        heat: values in [0, 1], one map per frame; it is resized to the frames.
        gamma: heat is raised to this power first; below 1 it lifts low values.
    """
    _, height, width, _ = frames.shape
    palette = (255 * matplotlib.colormaps[_HEAT](np.arange(256))[:, :3]).astype(np.uint8)
    drawn = np.empty_like(frames)
    for t, (frame, values) in enumerate(zip(frames, heat.astype(np.float32), strict=True)):
        strength = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)[..., None] ** gamma
        grey = frame.mean(-1, keepdims=True) * 0.6
        drawn[t] = (1 - strength) * grey + strength * palette[(255 * strength[..., 0]).astype(np.uint8)]
    return drawn


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


def draw_caption(frames: UInt8[np.ndarray, "T H W 3"], lines: Sequence[str]) -> UInt8[np.ndarray, "T H2 W 3"]:
    """Add a black band with lines of white text under every frame; the frames' width decides how large."""
    _, _, width, _ = frames.shape
    font, line_height = cv2.FONT_HERSHEY_SIMPLEX, 18
    band = np.zeros((line_height * len(lines) + 8, width, 3), np.uint8)
    for number, text in enumerate(lines):
        (text_width, _), _ = cv2.getTextSize(text, font, 0.45, 1)
        scale = 0.45 * min(1.0, (width - 8) / max(text_width, 1))
        origin = (4, line_height * (number + 1))
        cv2.putText(band, text, origin, font, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([frames, np.broadcast_to(band, (len(frames), *band.shape))], axis=1)
