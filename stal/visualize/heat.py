"""Colours for what voxels contribute: magnitudes from 0 to 1, or signed values from -1 to 1.

Both maps can be read without colour vision: `inferno` rises in lightness throughout, and `berlin` (Crameri et al.,
Nature Communications 2020, "The misuse of colour in science communication") does so from its dark middle to both ends.
"""

from functools import cache

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8

SEQUENTIAL = "inferno"
DIVERGING = "berlin"
NEGATIVE, POSITIVE = "#56b4e9", "#d55e00"  # surfaces of one sign: Okabe & Ito 2008, of the hues of `berlin`'s ends

_DARKENING = 0.6  # of the grey frame behind the heat


def draw_heat(
    frames: UInt8[np.ndarray, "T H W 3"], heat: Float[np.ndarray, "T h w"], *, signed: bool = False, gamma: float = 0.5
) -> UInt8[np.ndarray, "T H W 3"]:
    """Lay heat over darkened grey frames; the stronger it is, the less of the frame is seen through it.

    Args:
        frames: the video.
        heat: one map per frame, in [0, 1], or in [-1, 1] if `signed`; it is resized to the frames.
        signed: which colours: from dark to light by magnitude, or from blue by dark to red by value.
        gamma: magnitudes are raised to this power first; below 1 it lifts low values.
    """
    _, height, width, _ = frames.shape
    drawn = np.empty_like(frames)
    for t, (frame, values) in enumerate(zip(frames, heat.astype(np.float32), strict=True)):
        values = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
        grey = frame.mean(-1, keepdims=True, dtype=np.float32) * _DARKENING
        drawn[t] = _blend(grey, values, signed, gamma)
    return drawn


def heat_scale(height: int, width: int, *, signed: bool = False, gamma: float = 0.5) -> UInt8[np.ndarray, "H W 3"]:
    """Return a bar with the colours that `draw_heat` gives to the values from the lowest to the highest, over black."""
    values = np.linspace(-1.0 if signed else 0.0, 1.0, width, dtype=np.float32)
    return _blend(np.zeros((height, width, 1), np.float32), np.tile(values, (height, 1)), signed, gamma)


def _blend(
    grey: Float[np.ndarray, "H W 1"], values: Float[np.ndarray, "H W"], signed: bool, gamma: float
) -> UInt8[np.ndarray, "H W 3"]:
    strength = np.abs(values).clip(0, 1) ** gamma
    positions = 0.5 + 0.5 * np.sign(values) * strength if signed else strength
    colours = _palette(DIVERGING if signed else SEQUENTIAL)[(255 * positions).astype(np.uint8)]
    opacity = strength[..., None]
    return ((1 - opacity) * grey + opacity * colours).astype(np.uint8)


@cache
def _palette(name: str) -> Float[np.ndarray, "256 3"]:
    """Return the colours of one of matplotlib's maps, from 0 to 255."""
    return (255 * matplotlib.colormaps[name](np.arange(256))[:, :3]).astype(np.float32)
