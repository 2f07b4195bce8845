"""The frames of a video above its gradient tube, with boxes and a caption."""

import numpy as np
from jaxtyping import UInt8

from stal.visualize.drawing import colour, draw_caption, draw_outlined_boxes, fit_scale, resize
from stal.visualize.heat import draw_heat, heat_scale
from stal.visualize.text import LINE_PIXELS, text_line
from stal.visualize.tube_view import TubeView

MIN_WIDTH, MAX_WIDTH = 320, 640
"""Pixels: smaller videos are enlarged until text below them can be read, larger ones shrunk."""

_BAR_PIXELS = 96
_WHITE = (255, 255, 255)


def draw_tube_frames(
    view: TubeView, frames: UInt8[np.ndarray, "F H W 3"], first: int
) -> UInt8[np.ndarray, "F H2 W2 3"]:
    """Return frames above the same frames under heat, with the tube's boxes and a caption.

    Args:
        view: the gradient tube.
        frames: consecutive frames of the video.
        first: number of the first of them in the video.
    """
    return np.concatenate([draw_frames_alone(view, frames, first), draw_heat_frames(view, frames, first)], axis=1)


def draw_frames_alone(
    view: TubeView, frames: UInt8[np.ndarray, "F H W 3"], first: int
) -> UInt8[np.ndarray, "F H2 W2 3"]:
    """Return frames with the tube's boxes; see `draw_tube_frames`."""
    scale = fit_scale(frames.shape[2], MIN_WIDTH, MAX_WIDTH)
    boxes = view.tube.boxes[first : first + len(frames)] * scale
    return draw_outlined_boxes(resize(frames, scale), boxes, colour(0))


def draw_heat_frames(
    view: TubeView, frames: UInt8[np.ndarray, "F H W 3"], first: int
) -> UInt8[np.ndarray, "F H2 W2 3"]:
    """Return frames under heat, with the tube's boxes and a caption; see `draw_tube_frames`."""
    shown = slice(first, first + len(frames))
    scale = fit_scale(frames.shape[2], MIN_WIDTH, MAX_WIDTH)
    heated = draw_heat(resize(frames, scale), view.heat[shown], signed=view.signed)
    heated = draw_outlined_boxes(heated, view.tube.boxes[shown] * scale, _WHITE)
    scale_line = _scale_line(view, heated.shape[2])
    return np.concatenate(
        [
            draw_caption(heated[i : i + 1], [view.title(first + i), view.method, scale_line, view.shares(first + i)])
            for i in range(len(heated))
        ]
    )


def _scale_line(view: TubeView, width: int) -> UInt8[np.ndarray, "h W 3"]:
    """Return a bar of the colours of heat, and what they mean."""
    line = text_line(view.scale, width, left=_BAR_PIXELS + 10).copy()
    line[3 : LINE_PIXELS - 3, 4 : 4 + _BAR_PIXELS] = heat_scale(LINE_PIXELS - 6, _BAR_PIXELS, signed=view.signed)
    return line
