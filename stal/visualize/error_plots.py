"""Plots of what is wrong with detections: error budgets, confusion of actions, calibration of scores.

They are written and titled as those of `stal.visualize.plots`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stal.errors import ConfigError, ShapeError
from stal.metrics.class_mean import class_mean
from stal.visualize.plot_style import (
    COLOURS,
    COLUMN_INCHES,
    ERROR_COLOURS,
    GREY,
    LIGHT_GREY,
    SMALL_POINTS,
    TEXT_POINTS,
    add_legend,
    name_rows,
    new_figure,
    percent_panels,
    shorten,
    split_rows,
    tidy,
    write_absent,
)

_MAX_NUMBERED_CLASSES = 12
_MIN_NUMBERED_PART = 6.0  # percent; a number does not fit into less
_TOTALS = ("false_positives", "false_negatives")
_EMPTY = {"facecolor": "white", "edgecolor": LIGHT_GREY, "hatch": "////", "linewidth": 0.5}
_MEAN_ROW = -1.4  # stands apart from the classes, which are in the rows 0, 1, ...


def plot_error_budget(parts: Mapping[str, Float64[np.ndarray, " K"]], classes: Sequence[str], *, title: str) -> Figure:
    """Plot what became of every class as a bar of 100 percent, the mean on top, then the best class first.

    Args:
        parts: by name in `ERROR_COLOURS`, percent of each class: its AP as `true_positives`, and the area of each
            error. NaN for a class without ground truth.
        classes: names of the classes.
        title: title and subtitle.

    Raises:
        ConfigError: There are no parts, or one that is unknown.
        ShapeError: There are not as many values as classes, or they do not sum to 100.
    """
    _check_names(parts)
    names = [name for name in ERROR_COLOURS if name in parts]
    percents = np.stack([parts[name] for name in names])
    if percents.shape[1] != len(classes):
        raise ShapeError(f"{percents.shape[1]} values of each part for {len(classes)} classes; give one for each class")
    totals = percents.sum(axis=0)
    wrong = np.flatnonzero(np.abs(totals - 100) > 0.01)
    if len(wrong):
        raise ShapeError(
            f"the parts of {classes[wrong[0]]!r} sum to {totals[wrong[0]]:.3f}; give percent, of all parts"
        )

    order = np.argsort(-percents[0], kind="stable")
    panels = split_rows(len(classes))
    figure = new_figure(title, COLUMN_INCHES * len(panels), 0.95 + 0.145 * (panels[0].stop + 1.5))
    means = np.array([class_mean(part) for part in percents])
    for axes, rows in zip(percent_panels(figure, len(panels)), panels, strict=True):
        y = np.array([_MEAN_ROW, *range(rows.stop - rows.start)])
        name_rows(axes, ["mean", *(classes[k] for k in order[rows])], y)
        widths = np.column_stack([means, percents[:, order[rows]]])
        starts = np.cumsum(widths, axis=0) - widths
        for name, start, width in zip(names, starts, widths, strict=True):
            axes.barh(
                y, width, 0.8, start, color=ERROR_COLOURS[name], edgecolor="white", linewidth=0.3, label=_written(name)
            )
            if width[0] >= _MIN_NUMBERED_PART:
                axes.text(
                    start[0] + width[0] / 2,
                    _MEAN_ROW,
                    f"{width[0]:.0f}",
                    ha="center",
                    va="center_baseline",
                    fontsize=5.5,
                )
        for row in y[np.isnan(widths).any(axis=0)]:
            write_absent(axes, row)
    add_legend(figure, figure.axes[0], num_columns=4)
    return figure


def plot_fix_gains(gains: Mapping[str, float], *, title: str) -> Figure:
    """Plot how many points of mAP fixing each error would bring, the most first; all positives and negatives below.

    Args:
        gains: by name in `ERROR_COLOURS`, points of 100.
        title: title and subtitle.

    Raises:
        ConfigError: There are no errors, or one that is unknown.
    """
    _check_names(gains)
    names = sorted(gains, key=lambda name: (name in _TOTALS, -np.nan_to_num(gains[name])))
    values = np.array([gains[name] for name in names], np.float64)
    y = np.arange(len(names)) + 0.5 * np.isin(names, _TOTALS)
    figure = new_figure(title, COLUMN_INCHES, 0.4 + 0.17 * (len(names) + 0.5))
    axes = figure.add_subplot()
    tidy(axes, grid="x")
    name_rows(axes, [_written(name) for name in names], y)
    axes.set_xlabel("points of mAP that fixing it would bring", fontsize=TEXT_POINTS)
    axes.barh(y, values, 0.75, color=[ERROR_COLOURS[name] for name in names])
    highest = max([1.0, *values[~np.isnan(values)]])
    axes.set_xlim(1.15 * min([0.0, *values[~np.isnan(values)]]), 1.15 * highest)
    for row, value in zip(y, values, strict=True):
        if np.isnan(value):
            write_absent(axes, row)
        else:
            axes.annotate(
                f"{value:+.1f}",
                (max(value, 0), row),
                (2, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL_POINTS,
            )
    return figure


def plot_confusion(counts: Int64[np.ndarray, "K K+1"], classes: Sequence[str], *, title: str) -> Figure:
    """Plot what each class is taken for, in percent of its ground truth; small fractions are lifted by a square root.

    Args:
        counts: number of ground-truth items by their class (row) and the class they are taken for (column); in the last
            column those that are missed.
        classes: names of the classes.
        title: title and subtitle.

    Raises:
        ShapeError: `counts` has not a row for every class and a column more.
    """
    num_classes = len(classes)
    if counts.shape != (num_classes, num_classes + 1):
        raise ShapeError(f"confusion of shape {counts.shape} for {num_classes} classes; give a column more than rows")
    num_truth = counts.sum(axis=1, keepdims=True)
    percents = 100 * np.divide(counts, num_truth, out=np.full(counts.shape, np.nan), where=num_truth > 0)
    names = shorten(classes)

    numbered = num_classes <= _MAX_NUMBERED_CLASSES
    points = SMALL_POINTS if numbered else 5.5
    cell_inches = 0.19 if numbered else max(0.09, 2.3 / (num_classes + 1))
    label_inches = 0.2 + points / 120 * max(len(name) for name in [*names, "missed"])
    size = cell_inches * (num_classes + 1) + label_inches
    figure = new_figure(title, max(COLUMN_INCHES, size + 0.5), max(size, 1.0))
    axes = figure.add_subplot()
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(percents), cmap="Blues", norm=PowerNorm(0.5, 0, 100), edgecolors="#eeeeee", linewidth=0.3
    )
    axes.invert_yaxis()
    axes.set_xticks(np.arange(num_classes + 1) + 0.5, [*names, "missed"], rotation=90)
    axes.set_yticks(np.arange(num_classes) + 0.5, names)
    axes.tick_params(labelsize=points, length=0, pad=2)
    axes.set_xlabel("taken for (percent of the ground truth)", fontsize=TEXT_POINTS)
    axes.set_ylabel("ground truth", fontsize=TEXT_POINTS)
    axes.axvline(num_classes, color="black", linewidth=0.8)
    for k in np.flatnonzero(num_truth[:, 0]).tolist():
        axes.add_patch(Rectangle((k, k), 1, 1, fill=False, edgecolor="black", linewidth=0.6))
    for row in np.flatnonzero(num_truth[:, 0] == 0):
        write_absent(axes, row + 0.5, points=points - 1)
    if numbered:
        for row, column in np.argwhere(percents > 0):
            percent = percents[row, column]
            colour = "white" if percent > 30 else "black"
            axes.text(
                column + 0.5, row + 0.5, f"{percent:.0f}", ha="center", va="center", fontsize=SMALL_POINTS, color=colour
            )
    else:
        bar = figure.colorbar(mesh, ax=axes, ticks=[0, 2, 5, 10, 20, 50, 100], aspect=30, pad=0.02)
        bar.ax.tick_params(labelsize=points, length=2, width=0.5)
        bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def plot_calibration(
    lower: Float64[np.ndarray, " B"],
    upper: Float64[np.ndarray, " B"],
    fraction_true: Float64[np.ndarray, " B"],
    counts: Int64[np.ndarray, " B"],
    expected_error: float,
    *,
    title: str,
) -> Figure:
    """Plot how many detections of about the same score are true positives, and how many detections there are.

    Args:
        lower: lower ends of the bins of scores.
        upper: upper ends.
        fraction_true: fraction of true positives among the detections of each bin; NaN for an empty one.
        counts: number of detections.
        expected_error: expected calibration error; NaN if there is none.
        title: title and subtitle.
    """
    figure = new_figure(title, COLUMN_INCHES, 3.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for axes in (above, below):
        tidy(axes, grid="y")
    widths, empty = upper - lower, np.flatnonzero(counts == 0)
    above.bar(lower, fraction_true, widths, align="edge", color=COLOURS[0], edgecolor="white", linewidth=0.5)
    if lower[0] >= 0 and upper[-1] <= 1:
        above.plot([0, 1], [0, 1], color=COLOURS[-1], linewidth=0.8, linestyle=(0, (4, 2)), label="calibrated")
    if len(empty):
        above.bar(lower[empty], 1.0, widths[empty], align="edge", label="no detections", **_EMPTY)
    above.set(xlim=(lower[0], upper[-1]), ylim=(0, 1.01))
    above.set_ylabel("fraction of true positives", fontsize=TEXT_POINTS)
    error = "undefined" if np.isnan(expected_error) else f"{expected_error:.3f}"
    above.legend(
        handles=above.get_legend_handles_labels()[0],
        loc="upper left",
        title=f"expected calibration error: {error}",
        alignment="left",
        fontsize=TEXT_POINTS,
        title_fontsize=TEXT_POINTS,
        edgecolor="none",
    )

    below.set_yscale("log")
    below.set_ylim(0.7, 2 * counts.max(initial=10))
    below.bar(lower, counts, widths, align="edge", color=GREY, edgecolor="white", linewidth=0.5)
    below.set_xlabel("score", fontsize=TEXT_POINTS)
    below.set_ylabel("detections", fontsize=TEXT_POINTS)
    return figure


def _written(name: str) -> str:
    """Return the name of an error as it is written in a plot."""
    return name.replace("_", " ")


def _check_names(parts: Mapping[str, object]) -> None:
    """Raise unless there are errors, and each has a colour."""
    if not parts:
        raise ConfigError(f"no errors to plot; give some of {list(ERROR_COLOURS)}")
    unknown = [name for name in parts if name not in ERROR_COLOURS]
    if unknown:
        raise ConfigError(f"unknown error {unknown[0]!r}; the plots know {list(ERROR_COLOURS)}")
