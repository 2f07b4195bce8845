"""A gradient tube in space and time, as a picture."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float32, Float64
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D

from stal.visualize.drawing import colour
from stal.visualize.heat import NEGATIVE, POSITIVE
from stal.visualize.plot_style import COLUMN_INCHES, TEXT_POINTS, new_figure
from stal.visualize.tube_space import Plane, Surface, box_lines, space_title, tube_surfaces
from stal.visualize.tube_view import TubeView

_TIME_ASPECT = 2.0  # length of the axis of time over the width of a frame
_LIGHT = np.array([0.45, -0.6, -0.66])  # towards it: from the side that is looked at, and above


def plot_tube(view: TubeView, planes: Sequence[Plane]) -> Figure:
    """Plot the tube of boxes through x, y and time, the iso-surface of its gradient, and frames as planes.

    Args:
        view: the gradient tube.
        planes: frames of the video.
    """
    height, width = view.video_size
    figure = new_figure(space_title(view), 1.6 * COLUMN_INCHES, 0.75 * COLUMN_INCHES)
    figure.set_layout_engine("none")  # it does not know how much of its box a turned space fills
    axes: Axes3D = figure.add_axes((0.0, 0.0, 0.98, 0.98), projection="3d", computed_zorder=False)
    axes.set_proj_type("persp", focal_length=0.6)
    axes.view_init(elev=18, azim=-62)
    axes.set(xlim=(0, view.num_frames), ylim=(0, width), zlim=(height, 0))
    axes.set_box_aspect((_TIME_ASPECT * width, width, height), zoom=1.25)
    for axis, label in ((axes.xaxis, "frame"), (axes.yaxis, "x (pixels)"), (axes.zaxis, "y (pixels)")):
        axis.set_label_text(label, fontsize=TEXT_POINTS)
        axis.set_tick_params(labelsize=TEXT_POINTS, pad=-2)
        axis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_pane_color((0.97, 0.97, 0.97, 1.0))
        axis.labelpad = -4
    # One collection: only within one are polygons sorted by their depth.
    parts = [_plane_polygons(plane, view) for plane in planes]
    parts += [_surface_polygons(surface) for surface in tube_surfaces(view)]
    if parts:
        polygons = [polygon for of_part, _ in parts for polygon in of_part]
        colours = np.concatenate([of_part for _, of_part in parts])
        axes.add_collection3d(
            Poly3DCollection(polygons, facecolors=colours, edgecolors=colours, linewidths=0.15, clip_on=False)
        )
    if lines := box_lines(view):
        look = {"colors": [np.array(colour(0)) / 255], "linewidths": 0.9}
        axes.add_collection3d(Line3DCollection(lines, clip_on=False, **look))
    return figure


def _surface_polygons(surface: Surface) -> tuple[Float32[np.ndarray, "M 3 3"], Float64[np.ndarray, "M 3"]]:
    """Return the triangles of a surface and their colours, which are the lighter the more they face the light."""
    corners = surface.points[surface.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1).clip(min=1e-9)
    facing = np.abs(normals @ _LIGHT) / lengths
    base = np.array(matplotlib.colors.to_rgb(POSITIVE if surface.positive else NEGATIVE))
    shaded = (base * (0.55 + 0.6 * facing[:, None])).clip(0, 1)
    return corners, shaded


def _plane_polygons(plane: Plane, view: TubeView) -> tuple[Float64[np.ndarray, "M 4 3"], Float64[np.ndarray, "M 3"]]:
    """Return the pixels of a frame as rectangles at its time, and their colours."""
    rows, columns, _ = plane.pixels.shape
    height, width = view.video_size
    y, x = np.linspace(0, height, rows + 1), np.linspace(0, width, columns + 1)
    row, column = (index.ravel() for index in np.indices((rows, columns)))
    corners = np.empty((rows * columns, 4, 3))
    corners[..., 0] = plane.frame + 0.5
    corners[..., 1] = np.stack([x[column], x[column + 1], x[column + 1], x[column]], axis=1)
    corners[..., 2] = np.stack([y[row], y[row], y[row + 1], y[row + 1]], axis=1)
    return corners, plane.pixels.reshape(-1, 3) / 255
