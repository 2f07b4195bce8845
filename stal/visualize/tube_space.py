"""A gradient tube as a body in space and time: x and y in pixels of the video, t in frames.

A point is (t, x, y). The middle of pixel i is i + 0.5, and that of frame i is i + 0.5 too, so that a video of T frames
reaches from 0 to T.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64, Int, UInt8
from scipy.ndimage import gaussian_filter

from stal.visualize.drawing import resize
from stal.visualize.tube_view import TubeView

INSIDE_SHARE = 0.02
"""How much of the volume a surface encloses: the strongest part."""
SMOOTHING_CELLS = 1.0
"""Standard deviation of the smoothing before, which leaves the shape and takes the grain away."""

_GRID = (48, 36, 48)  # cells along frames, rows and columns, at most
_PLANE_PIXELS = 48  # of the longer side of a frame that stands in space
_MAX_RINGS = 12


@dataclass(frozen=True)
class Surface:
    """An iso-surface of a gradient tube.

    Attributes:
        points: its vertices.
        triangles: rows of `points`.
        positive: whether it encloses high values, or low ones (of signed tubes).
    """

    points: Float32[np.ndarray, "N 3"]
    triangles: Int[np.ndarray, "M 3"]
    positive: bool


@dataclass(frozen=True)
class Plane:
    """A frame of the video that stands in space and time.

    Attributes:
        frame: its number.
        pixels: the frame, made small.
    """

    frame: int
    pixels: UInt8[np.ndarray, "h w 3"]


def small_plane(frame: int, pixels: UInt8[np.ndarray, "H W 3"]) -> Plane:
    """Return a frame of the video as a plane."""
    return Plane(frame, resize(pixels[None], min(1.0, _PLANE_PIXELS / max(pixels.shape[:2])))[0])


def tube_surfaces(view: TubeView) -> list[Surface]:
    """Return the surface around the strongest `INSIDE_SHARE` of a tube's voxels, after smoothing.

    A signed tube has one around its positive and one around its negative part, which share that among them. A tube that
    is zero, or the same everywhere, has none.
    """
    from skimage.measure import marching_cubes  # takes a second

    size = tuple(min(most, own) for most, own in zip(_GRID, view.heat.shape, strict=True))
    cells = F.adaptive_avg_pool3d(torch.from_numpy(view.heat)[None], size)[0].numpy()
    cells = gaussian_filter(np.pad(cells, 1), SMOOTHING_CELLS)  # the margin of zeros closes the surface
    level = np.quantile(np.abs(cells[1:-1, 1:-1, 1:-1]), 1 - INSIDE_SHARE)
    cells[[0, -1]] = cells[:, [0, -1]] = cells[:, :, [0, -1]] = 0
    height, width = view.video_size
    scale = np.array([view.num_frames, height, width]) / size
    surfaces = []
    for sign in (1, -1):
        if level > 0 and (sign * cells).max() > level:
            points, triangles, *_ = marching_cubes(sign * cells, level)
            places = ((points - 0.5) * scale).clip(0, scale * size)
            surfaces.append(Surface(places[:, [0, 2, 1]].astype(np.float32), triangles, positive=sign > 0))
    return surfaces


def space_title(view: TubeView) -> str:
    """Return a title, and below it lines that say what a picture of a tube in space shows."""
    known = ~np.isnan(view.tube.inside_shares)
    inside, volume = (shares[known].mean() for shares in (view.tube.inside_shares, view.tube.volume_shares))
    shares = f"; energy in box {inside:.0%}, box {volume:.0%} of its clips" if known.any() else ""
    return (
        f"{view.action}, {view.origin}\n{view.tube.video_key}: {view.method}{shares}\n"
        f"surface: around the strongest {INSIDE_SHARE:.0%} of the voxels, smoothed; each clip's largest is 1"
    )


def box_lines(view: TubeView) -> list[Float64[np.ndarray, "P 3"]]:
    """Return the tube of boxes as lines: four edges along the time for each run of frames with boxes, and rings."""
    frames = np.flatnonzero(view.has_box)
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1) if len(frames) else []
    step = max(1, -(-len(frames) // _MAX_RINGS))
    lines = []
    for run in runs:
        corners = _corners(view, run)
        lines += [corners[:, corner] for corner in range(4)]
        lines += [np.concatenate([corners[i], corners[i, :1]]) for i in {*range(0, len(run), step), len(run) - 1}]
    return lines


def _corners(view: TubeView, frames: Int[np.ndarray, " F"]) -> Float64[np.ndarray, "F 4 3"]:
    """Return the corners of boxes, one after the other around each box."""
    x1, y1, x2, y2 = view.tube.boxes[frames].astype(np.float64).T
    t = frames + 0.5
    return np.stack([np.stack([t, x, y], axis=1) for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))], axis=1)
