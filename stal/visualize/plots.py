"""Plots of how good detections are: precision and recall, scores of classes, scores under every protocol.

Every function returns a figure, which `stal.visualize.plot_style.save_figure` writes. The first line of `title` is the
title; the others are the subtitle, which is to say what the numbers rest on: the data set and its size, the name of the
protocol and its hash. Scores are in percent, as in metrics.json; a None or NaN is never drawn as 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stal.errors import ShapeError
from stal.metrics.class_mean import class_mean
from stal.visualize.plot_style import (
    COLOURS,
    COLUMN_INCHES,
    GREY,
    HALO,
    NO_GROUND_TRUTH,
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

_MAX_NAMED_CURVES = 12
_NUM_EXTREMES = 3
_LONGEST_OF_TWO = 20  # letters of a name, if two are to stand side by side


def plot_precision_recall(
    curves: Mapping[str, tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, " P"]]],
    aps: Mapping[str, float | None],
    *,
    envelope: bool = True,
    title: str,
) -> Figure:
    """Plot precision over recall of every class, and bold what the AP is the area under.

    Of more than 12 classes, only the three best and the three worst are named.

    Args:
        curves: by class, recall and precision in [0, 1] after each detection, surest first.
        aps: by class, its average precision.
        envelope: the AP is the area under the envelope, which is bold, and the precision itself is pale; if False, the
            AP is the area under the precision itself, from recall 0 and precision 1 on.
        title: title and subtitle.

    Raises:
        ShapeError: The classes of `curves` are not those of `aps`.
    """
    if curves.keys() != aps.keys():
        raise ShapeError(f"classes with either a curve or an AP: {sorted(curves.keys() ^ aps.keys())[:3]}; give both")
    names, values = list(aps), np.array(list(aps.values()), np.float64)
    num_absent = int(np.isnan(values).sum())
    ranking = np.argsort(-values, kind="stable")[: len(names) - num_absent].tolist()
    others = ranking[_NUM_EXTREMES:-_NUM_EXTREMES] if len(ranking) > _MAX_NAMED_CURVES else []
    named = [k for k in ranking if k not in others]

    num_entries = len(named) + bool(others) + bool(num_absent)
    num_columns = 2 if max((len(names[k]) for k in named), default=0) <= _LONGEST_OF_TWO else 1
    figure = new_figure(title, COLUMN_INCHES, 2.7 + 0.13 * -(-num_entries // num_columns))
    axes = figure.add_subplot()
    tidy(axes, grid="both")
    axes.set(xlim=(0, 1.005), ylim=(0, 1.01))
    axes.set_xlabel("recall", fontsize=TEXT_POINTS)
    axes.set_ylabel("precision", fontsize=TEXT_POINTS)
    draw = _draw_envelope if envelope else _draw_precision
    for k in others:
        draw(axes, *curves[names[k]], color=GREY, linewidth=0.4, alpha=0.6)
    for number, k in enumerate(named):
        colour, style = COLOURS[number % len(COLOURS)], "-" if number < len(COLOURS) else (0, (3, 1))
        label = f"{values[k]:.1f}  {shorten([names[k]])[0]}"
        if envelope:
            axes.plot(*curves[names[k]], color=colour, linewidth=0.4, alpha=0.5)
        draw(axes, *curves[names[k]], color=colour, linewidth=1.0, linestyle=style, label=label)
    if others:
        axes.plot([], [], color=GREY, linewidth=0.4, label=f"{len(others)} other classes")
    if num_absent:
        axes.plot([], [], " ", label=f"{NO_GROUND_TRUTH}: {num_absent} of {len(names)}")
    mean = "" if num_absent == len(names) else f", mean {class_mean(values):.1f}"
    add_legend(figure, axes, num_columns=num_columns, title=f"AP in percent{mean}")
    return figure


def _draw_envelope(
    axes: Axes, recall: Float64[np.ndarray, " P"], precision: Float64[np.ndarray, " P"], **look: Any
) -> None:
    """Draw, from recall 0 on, the highest precision at this recall or a higher one."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    first = envelope[:1]
    axes.plot(np.append(0 * first, recall), np.append(first, envelope), drawstyle="steps-pre", **look)


def _draw_precision(
    axes: Axes, recall: Float64[np.ndarray, " P"], precision: Float64[np.ndarray, " P"], **look: Any
) -> None:
    """Draw the precision after each detection, from recall 0 and precision 1 on."""
    axes.plot(np.append(0.0, recall), np.append(1.0, precision), **look)


def plot_per_class(
    values: Mapping[str, Mapping[str, float | None]],
    *,
    intervals: Mapping[str, Mapping[str, Sequence[float] | None]] | None = None,
    title: str,
) -> Figure:
    """Plot the scores of every class as bars, the class that is best in the first metric on top, and their means.

    Args:
        values: by class, its score in each metric, as `per_class` of metrics.json.
        intervals: by class, the ends of the confidence interval of each metric that has one.
        title: title and subtitle.

    Raises:
        ShapeError: There are no scores, or a class has other metrics than the first one.
    """
    names, metrics, scores = _best_first(values)
    panels = split_rows(len(names))
    thickness = 0.8 / len(metrics)
    offsets = thickness * (np.arange(len(metrics)) - (len(metrics) - 1) / 2)
    row_inches = 0.06 + 0.065 * len(metrics)
    height = 0.5 + 0.14 * len(metrics) + row_inches * (panels[0].stop + 0.2)
    figure = new_figure(title, COLUMN_INCHES * len(panels), height)
    for axes, rows in zip(percent_panels(figure, len(panels)), panels, strict=True):
        y = np.arange(len(names[rows]), dtype=np.float64)
        name_rows(axes, names[rows], y)
        for m, metric in enumerate(metrics):
            colour, mean = COLOURS[m % len(COLOURS)], class_mean(scores[:, m])
            label = f"{metric}: " + (NO_GROUND_TRUTH if np.isnan(mean) else f"mean {mean:.1f}")
            axes.barh(y + offsets[m], scores[rows, m], thickness, color=colour, label=label)
            axes.axvline(mean, color=colour, linewidth=0.8, path_effects=HALO)
            ends = [(intervals or {}).get(name, {}).get(metric) or (np.nan, np.nan) for name in names[rows]]
            axes.hlines(y + offsets[m], *np.array(ends, np.float64).T, color="black", linewidth=0.7, path_effects=HALO)
        absent = np.isnan(scores[rows])
        for row in y[absent.all(axis=1)]:
            write_absent(axes, row)
        for row, m in np.argwhere(absent & ~absent.all(axis=1, keepdims=True)):
            write_absent(axes, y[row] + offsets[m], "none", points=4.5)
    add_legend(figure, figure.axes[0], num_columns=len(panels))
    return figure


def plot_protocols(rows: Mapping[str, Mapping[str, float | None]], *, title: str) -> Figure:
    """Plot what the same detections score under every protocol, one metric beside the other.

    Each metric has its own range but the same scale, so that equal distances are equal differences. A band spans all
    protocols, which are ordered by the first metric.

    Args:
        rows: by protocol, its score in each metric; None where it has no such metric.
        title: title and subtitle.

    Raises:
        ShapeError: There are no scores, or a protocol has other metrics than the first one.
    """
    names, metrics, scores = _best_first(rows)
    present = [of_metric[~np.isnan(of_metric)] for of_metric in scores.T]
    width = 1.7 * max([1.0, *(np.ptp(of_metric) for of_metric in present if len(of_metric))])
    figure = new_figure(title, 0.8 + 1.35 * len(metrics), 0.5 + 0.17 * len(names))
    for m, metric in enumerate(metrics):
        axes = figure.add_subplot(1, len(metrics), m + 1)
        tidy(axes, grid="both")
        y = np.arange(len(names), dtype=np.float64)
        name_rows(axes, names if m == 0 else [""] * len(names), y)
        axes.set_title(metric, fontsize=TEXT_POINTS)
        colour = COLOURS[m % len(COLOURS)]
        axes.plot(scores[:, m], y, "o", color=colour, markersize=4)
        if len(present[m]):
            lowest, highest = present[m].min(), present[m].max()
            axes.axvspan(lowest, highest, color=colour, alpha=0.15, linewidth=0)
            start = (lowest + highest) / 2 - 0.4 * width
            axes.set_xlim(start, start + width)
            axes.set_xlabel(f"percent; spread {highest - lowest:.1f}", fontsize=TEXT_POINTS)
        for row, score in zip(y, scores[:, m], strict=True):
            if np.isnan(score):
                write_absent(axes, row, "not defined", start=axes.get_xlim()[0])
            else:
                axes.annotate(
                    f"{score:.1f}", (score, row), (4, 0), textcoords="offset points", va="center", fontsize=SMALL_POINTS
                )
    return figure


def _best_first(
    values: Mapping[str, Mapping[str, float | None]],
) -> tuple[list[str], list[str], Float64[np.ndarray, "N M"]]:
    """Return the names of the rows, the best in the first column on top, those of the columns, and the values.

    Raises:
        ShapeError: There is nothing, or the rows differ in their columns.
    """
    metrics = list(next(iter(values.values()), {}))
    if not metrics:
        raise ShapeError("no scores to plot; give at least one metric of one row")
    for name, of_name in values.items():
        if of_name.keys() != set(metrics):
            raise ShapeError(f"{name!r} has the metrics {list(of_name)}, the first one {metrics}; give all the same")
    scores = np.array([[of_name[metric] for metric in metrics] for of_name in values.values()], np.float64)
    order = np.argsort(-scores[:, 0], kind="stable")
    return [list(values)[k] for k in order], metrics, scores[order]
