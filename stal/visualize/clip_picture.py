"""One picture of a clip: what is annotated and detected, above what the score of the surest detection comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from stal.visualize.drawing import colour, draw_boxes, draw_caption, fit_scale, resize
from stal.visualize.heat import draw_heat, heat_scale
from stal.visualize.text import LINE_PIXELS, text_line

_NUM_FRAMES = 4
_MIN_WIDTH, _MAX_WIDTH = 240, 400  # pixels of a frame
_GAP, _KEY = 4, 48  # pixels between frames, and of the sample of a colour before the text that explains it
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class ShownTubelet:
    """A tubelet with what is written about it.

    Attributes:
        boxes: (T, 4) xyxy pixels of the clip; no area where it is not.
        text: such as its class and score.
    """

    boxes: Float[np.ndarray, "T 4"]
    text: str


def draw_clip(
    title: str,
    frames: UInt8[np.ndarray, "T H W 3"],
    annotated: Sequence[ShownTubelet],
    detected: Sequence[ShownTubelet],
    explained: ShownTubelet | None,
    heat: Float[np.ndarray, "T h w"],
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return some frames of a clip side by side, the same under heat below them, and a caption.

    Args:
        title: first line of the caption.
        frames: the clip.
        annotated: drawn in white.
        detected: drawn in colours of their own.
        explained: the tubelet whose score the heat explains, the first that is detected if one is; None for none.
        heat: in [0, 1], for each frame.
    """
    chosen = np.linspace(0, len(frames) - 1, min(_NUM_FRAMES, len(frames))).round().astype(int)
    scale = fit_scale(frames.shape[2], _MIN_WIDTH, _MAX_WIDTH)
    shown = resize(frames[chosen], scale)
    heated = draw_heat(shown, heat[chosen])
    boxes = [(tubelet.boxes[chosen] * scale, _WHITE) for tubelet in annotated]
    boxes += [(tubelet.boxes[chosen] * scale, colour(number)) for number, tubelet in enumerate(detected)]
    for of_frames, line in boxes:
        shown = _outline(shown, of_frames, line)
    if explained is not None:
        heated = _outline(heated, explained.boxes[chosen] * scale, colour(0) if detected else _WHITE)
    strip = np.concatenate([_side_by_side(shown), _side_by_side(heated)])
    width = strip.shape[1]
    lines: list[str | UInt8[np.ndarray, "h W 3"]] = [title]
    if annotated:
        lines.append(_key_line(_WHITE, f"annotated: {', '.join(tubelet.text for tubelet in annotated)}", width))
    lines += [_key_line(colour(number), tubelet.text, width) for number, tubelet in enumerate(detected)]
    if explained is not None:
        lines.append(_key_line(heat_scale(LINE_PIXELS - 6, _KEY), explained.text, width))
    return draw_caption(strip[None], lines)[0]


def _outline(
    frames: UInt8[np.ndarray, "T H W 3"], boxes: Float[np.ndarray, "T 4"], line: tuple[int, int, int]
) -> UInt8[np.ndarray, "T H W 3"]:
    """Draw boxes with a dark border, so that they are seen on every ground."""
    return draw_boxes(draw_boxes(frames, boxes, _BLACK, thickness=4), boxes, line, thickness=2)


def _side_by_side(frames: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "H2 W2 3"]:
    padded = np.pad(frames, ((0, 0), (0, _GAP), (0, _GAP), (0, 0)))
    return np.concatenate(list(padded), axis=1)


def _key_line(
    sample: tuple[int, int, int] | UInt8[np.ndarray, "h w 3"], text: str, width: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Return a line that says what a colour, or a bar of colours, stands for."""
    line = text_line(text, width, left=_KEY + 10).copy()
    line[3 : LINE_PIXELS - 3, 4 : 4 + _KEY] = sample
    return line
