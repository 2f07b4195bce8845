"""Plots of what was logged while detectors trained."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from stal.errors import ShapeError
from stal.visualize.plot_style import COLOURS, COLUMN_INCHES, TEXT_POINTS, add_legend, new_figure, tidy

_NUM_COLUMNS = 3
_LOOKS = ((COLOURS[0], "-"), (COLOURS[-1], (0, (4, 1.5))))


def plot_training(curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]], *, title: str) -> Figure:
    """Plot every number that was logged in a panel of its own, with a line for each of one or two detectors.

    Args:
        curves: by the name of the detector and that of the number, steps and values.
        title: title and subtitle, which is to say what is counted along the panels.

    Raises:
        ShapeError: nothing was logged, or there are more detectors.
    """
    names = list(dict.fromkeys(name for of_detector in curves.values() for name in of_detector))
    if len(curves) > len(_LOOKS):
        raise ShapeError(f"curves of {len(curves)} detectors; plot {len(_LOOKS)} at most")
    if not names:
        raise ShapeError("no curves to plot; give at least one number of one detector")
    names.sort(key=lambda name: (name != "loss", not name.startswith("loss"), name))
    num_rows = -(-len(names) // _NUM_COLUMNS)
    figure = new_figure(title, 2 * COLUMN_INCHES, 0.3 + 1.25 * num_rows)
    for place, name in enumerate(names):
        axes = figure.add_subplot(num_rows, _NUM_COLUMNS, place + 1)
        tidy(axes, grid="y")
        axes.set_title(name.replace("_", " "), fontsize=TEXT_POINTS)
        for (detector, of_detector), (colour, style) in zip(curves.items(), _LOOKS, strict=False):
            steps, values = of_detector.get(name, ((), ()))
            # An empty line too, so that the legend, made of the first panel, names every detector.
            axes.plot(
                steps,
                np.asarray(values, np.float64),
                color=colour,
                linestyle=style,
                linewidth=0.9,
                label=detector,
            )
    add_legend(figure, figure.axes[0], num_columns=len(curves))
    return figure
