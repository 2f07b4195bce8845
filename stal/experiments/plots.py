"""Plots of a grid: a point for every mixer and penalty, with a bar of one standard deviation over its seeds."""

from itertools import cycle, product
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stal.experiments.results import estimate
from stal.experiments.spec import Experiment, Grid
from stal.experiments.tables import NOT_MEASURED, Measure, Results, inside_share, set_measure, values_of
from stal.visualize.plot_style import COLOURS, COLUMN_INCHES, GREY, TEXT_POINTS, new_figure, tidy

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
Fill = Literal["full", "none"]
_FILLS: tuple[Fill, ...] = ("full", "none")
_LOOKS = tuple(product(_FILLS, (*COLOURS, GREY, "black")))  # filled first
_ROW_INCHES = 0.145  # of a legend
_FRAME_METRIC = "frame_mAP@0.5"


def plot_robustness(experiment: Experiment, grid: Grid, results: Results) -> Figure:
    """Plot how good each mixer and penalty is on the shifted set over how good it is on the iid set.

    On the dotted line both are equal: there, nothing is lost with the scene.
    """
    iid = set_measure(experiment.iid, experiment.metric)
    title = f"{grid.title}: robustness"
    figure = _plot(experiment, grid, results, iid, experiment.iid, title, experiment.metric)
    axes = figure.axes[0]
    limits = axes.get_xlim(), axes.get_ylim()
    axes.axline((0, 0), slope=1, color=GREY, linewidth=0.6, linestyle=":", zorder=0)
    axes.set(xlim=limits[0], ylim=limits[1])
    return figure


def plot_gradient_energy(experiment: Experiment, grid: Grid, results: Results) -> Figure:
    """Plot how good each mixer and penalty is on the shifted set over how much of its gradients is in the actors.

    It is of `gradient_plot_metric`.
    """
    label = "energy of the input gradient inside the actor, percent"
    title = f"{grid.title}: where the gradient is"
    return _plot(experiment, grid, results, inside_share, label, title, gradient_plot_metric(experiment))


def gradient_plot_metric(experiment: Experiment) -> str:
    """Return what the plot of the gradients is of: frame-mAP at 0.5 if the page has it, or its first metric."""
    return _FRAME_METRIC if _FRAME_METRIC in experiment.metrics else experiment.metric


def _plot(
    experiment: Experiment, grid: Grid, results: Results, measure: Measure, label: str, title: str, metric: str
) -> Figure:
    looks = dict(zip(grid.penalties, cycle(_LOOKS), strict=False))
    markers = dict(zip(grid.mixers, cycle(_MARKERS), strict=False))
    shifted = set_measure(experiment.shifted, metric)
    height = max(3.2, 0.6 + _ROW_INCHES * (len(looks) + len(markers) + 3))
    figure = new_figure(
        f"{title}\n{metric} in percent; points: means over seeds, bars: one standard deviation; 1: of one seed",
        1.7 * COLUMN_INCHES,
        height,
    )
    axes = figure.add_subplot()
    tidy(axes, grid="both")
    axes.set_xlabel(label, fontsize=TEXT_POINTS)
    axes.set_ylabel(f"{experiment.shifted}, {metric}", fontsize=TEXT_POINTS)
    for mixer, penalty in product(markers, looks):
        x, y = (estimate(list(values_of(results, mixer, penalty, grid.seeds, m).values())) for m in (measure, shifted))
        if x is None or y is None:
            continue
        fill, colour = looks[penalty]
        axes.errorbar(
            x.mean,
            y.mean,
            xerr=x.sd,
            yerr=y.sd,
            marker=markers[mixer],
            color=colour,
            fillstyle=fill,
            markersize=4,
            markeredgewidth=0.8,
            elinewidth=0.4,
        )
        if y.num_seeds == 1:
            axes.annotate(
                "1", (x.mean, y.mean), (3, 2), textcoords="offset points", fontsize=0.7 * TEXT_POINTS, color=GREY
            )
    if not axes.containers:
        axes.text(0.5, 0.5, NOT_MEASURED, transform=axes.transAxes, ha="center", fontsize=TEXT_POINTS, color=GREY)
    _add_legends(figure, looks, markers)
    return figure


def _add_legends(figure: Figure, looks: dict[str, tuple[Fill, str]], markers: dict[str, str]) -> None:
    """Write beside the axes which colour is which penalty, and which marker is which mixer."""
    of_penalties = [
        Line2D([], [], marker="o", linestyle="", color=colour, fillstyle=fill, markersize=4, label=penalty)
        for penalty, (fill, colour) in looks.items()
    ]
    of_mixers = [
        Line2D([], [], marker=marker, linestyle="", color=GREY, fillstyle="none", markersize=4, label=mixer)
        for mixer, marker in markers.items()
    ]
    _add_legend(figure, of_penalties, "penalty", "outside right upper")
    _add_legend(figure, of_mixers, "mixer", "outside right lower")


def _add_legend(
    figure: Figure, handles: list[Line2D], title: str, place: Literal["outside right upper", "outside right lower"]
) -> None:
    figure.legend(
        handles=handles,
        title=title,
        loc=place,
        fontsize=TEXT_POINTS,
        title_fontsize=TEXT_POINTS,
        frameon=False,
        alignment="left",
        labelspacing=0.25,
    )
