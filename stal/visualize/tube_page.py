"""A gradient tube in space and time that can be turned, as one page that needs no network."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stal.visualize.heat import NEGATIVE, POSITIVE
from stal.visualize.plot_style import COLOURS
from stal.visualize.tube_space import Plane, box_lines, space_title, tube_surfaces
from stal.visualize.tube_view import TubeView

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_TIME_ASPECT = 2.0  # length of the axis of time over the width of a frame
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 1em; }} p {{ margin: 0.2em 0; max-width: 60em; }}</style>
</head>
<body>
<h1>{title}</h1>
{paragraphs}
{figure}
</body>
</html>
"""


def tube_figure(view: TubeView, planes: Sequence[Plane]) -> "Figure":
    """Return the tube of boxes through x, y and time, the iso-surface of its gradient, and frames as grey planes.

    A page that has plotly.js already embeds it by its `to_json()`; the legend shows and hides its parts.

    Args:
        view: the gradient tube.
        planes: frames of the video.
    """
    import plotly.graph_objects as go  # takes a second

    height, width = view.video_size
    figure = go.Figure()
    for surface in tube_surfaces(view):
        t, x, y = surface.points.T
        i, j, k = surface.triangles.T.astype(np.int32)
        figure.add_mesh3d(
            x=t, y=x, z=y, i=i, j=j, k=k, color=POSITIVE if surface.positive else NEGATIVE, opacity=0.85,
            name=_surface_name(view, surface.positive), showlegend=True, hoverinfo="skip",
        )  # fmt: skip
    gap = np.full((1, 3), np.nan)
    points = np.concatenate([gap, *(part for line in box_lines(view) for part in (line, gap))]).astype(np.float32)
    t, x, y = points.T
    look = {"color": COLOURS[0], "width": 4}
    figure.add_scatter3d(x=t, y=x, z=y, mode="lines", line=look, name="boxes", hoverinfo="skip")
    for plane in planes:
        rows, columns, _ = plane.pixels.shape
        x, y = np.meshgrid(_centres(columns, width), _centres(rows, height))
        figure.add_surface(
            x=np.full_like(x, plane.frame + 0.5), y=x, z=y, surfacecolor=plane.pixels.mean(-1).astype(np.uint8),
            colorscale="gray", cmin=0, cmax=255, showscale=False, opacity=0.8, name=f"frame {plane.frame}",
            showlegend=True, hoverinfo="skip",
        )  # fmt: skip
    figure.update_layout(
        scene={
            "xaxis": {"title": {"text": "frame"}, "range": [0, view.num_frames]},
            "yaxis": {"title": {"text": "x (pixels)"}, "range": [0, width]},
            "zaxis": {"title": {"text": "y (pixels)"}, "range": [height, 0]},
            "aspectmode": "manual",
            "aspectratio": {"x": _TIME_ASPECT, "y": 1, "z": height / width},
            "camera": {"eye": {"x": 1.0, "y": -2.2, "z": 0.9}, "center": {"x": 0, "y": 0, "z": -0.15}},
        },
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        legend={"x": 0, "y": 1},
    )
    return figure


def tube_page(view: TubeView, planes: Sequence[Plane]) -> str:
    """Return `tube_figure` as a page, with all that it needs.

    Args:
        view: the gradient tube.
        planes: frames of the video.
    """
    headline, *rest = space_title(view).splitlines()
    figure = tube_figure(view, planes).to_html(
        full_html=False, include_plotlyjs=True, default_height="80vh", config={"displaylogo": False, "responsive": True}
    )
    paragraphs = "\n".join(f"<p>{html.escape(line)}</p>" for line in rest)
    return _PAGE.format(title=html.escape(headline), paragraphs=paragraphs, figure=figure)


def _surface_name(view: TubeView, positive: bool) -> str:
    if not view.signed:
        return "gradient"
    return "gradient, positive" if positive else "gradient, negative"


def _centres(count: int, length: int) -> np.ndarray:
    """Return the middles of `count` equal parts of a length."""
    return ((np.arange(count) + 0.5) * length / count).astype(np.float32)
