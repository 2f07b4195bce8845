"""Where boxes are, how large they are, and how long tubes are, for a look at the whole data set."""

import itertools
from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float64

from stal.checks.annotation_table import AnnotationTable

_GRID = (48, 64)  # rows and columns of the map of boxes
_SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # of the image, where the bars begin
_LENGTHS = (1, 8, 16, 32, 64, 128, 256)  # frames, where the bars begin

Bars = Sequence[tuple[str, int]]
"""Names and numbers, one for each bar."""


def box_shares(table: AnnotationTable) -> Float64[np.ndarray, "F 4"]:
    """Return boxes as shares of their image, cut to it, of those that are finite."""
    sizes = np.tile(table.sizes[table.video_of_row[table.is_finite]], (1, 2))
    return (table.boxes[table.is_finite] / np.maximum(sizes, 1)).clip(0, 1)


def count_sizes(table: AnnotationTable) -> Bars:
    """Return how many boxes cover which share of the image."""
    shares = box_shares(table)
    counts, _ = np.histogram((shares[:, 2:] - shares[:, :2]).clip(0).prod(axis=1), bins=[*_SHARES, np.inf])
    names = [f"{100 * low:.0f} to {100 * high:.0f} %" for low, high in itertools.pairwise(_SHARES)]
    return list(zip([*names, f"over {100 * _SHARES[-1]:.0f} %"], counts.tolist(), strict=True))


def count_lengths(table: AnnotationTable) -> Bars:
    """Return how many tubes have boxes on how many frames."""
    lengths = np.bincount(table.tube_of_row, minlength=len(table.tube_videos))
    counts, _ = np.histogram(lengths, bins=[*_LENGTHS, np.inf])
    names = [f"{low} to {high - 1}" for low, high in itertools.pairwise(_LENGTHS)]
    return list(zip([*names, f"{_LENGTHS[-1]} or more"], counts.tolist(), strict=True))


def box_map(table: AnnotationTable) -> Float64[np.ndarray, "h w"]:
    """Return how often each place of the image is in a box, of 1 for the place where it is most often."""
    height, width = _GRID
    cells = np.rint(box_shares(table) * np.array([width, height, width, height])).astype(np.int64)
    x1, y1, x2, y2 = cells[(cells[:, 2:] >= cells[:, :2]).all(axis=1)].T
    steps = np.zeros((height + 1, width + 1))  # a box adds 1 from its first corner on, and takes it back behind it
    for y, x, sign in ((y1, x1, 1), (y1, x2, -1), (y2, x1, -1), (y2, x2, 1)):
        np.add.at(steps, (y, x), sign)
    counts = steps.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
    return counts / max(counts.max(initial=0), 1)


def draw_box_map(table: AnnotationTable) -> bytes:
    """Return the map of boxes as a PNG."""
    palette = (255 * matplotlib.colormaps["inferno"](np.arange(256))[:, :3]).astype(np.uint8)
    rgb = palette[(255 * box_map(table)).astype(np.uint8)]
    large = cv2.resize(rgb, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    _, png = cv2.imencode(".png", cv2.cvtColor(large, cv2.COLOR_RGB2BGR))
    return png.tobytes()
