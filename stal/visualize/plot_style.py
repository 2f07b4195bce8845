"""How every plot looks: sized for a column of a paper, in colours that can be told apart without colour vision."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

COLUMN_INCHES = 3.5  # width of one column of a paper; a page has two
TEXT_POINTS = 7.0
SMALL_POINTS = 6.0
GREY = "#767676"
LIGHT_GREY = "#d9d9d9"
NO_GROUND_TRUTH = "no ground truth"

# Okabe & Ito 2008, without the yellow that is too pale for lines.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")

# The same colour for the same part in every plot, in the order in which parts are stacked.
ERROR_COLOURS = {
    "true_positives": "#009e73",
    "localization": "#56b4e9",
    "classification": "#e69f00",
    "duplicate": "#f0e442",
    "background": "#cc79a7",
    "time": "#0072b2",
    "other": "#8c8c8c",
    "missed": LIGHT_GREY,
    "false_positives": "#333333",
    "false_negatives": "#b3b3b3",
}

HALO = (withStroke(linewidth=1.8, foreground="white"),)  # for lines that cross bars of their colour

_DOTS_PER_INCH = 200
_TITLE_POINTS = 8.5
_LINE_INCHES = 0.14
_MARGIN_INCHES = 0.06
_LONGEST_NAME = 28
_MAX_ROWS = 40


def new_figure(title: str, width_inches: float, height_inches: float) -> Figure:
    """Return an empty figure under a title; it belongs to no window and to no global state.

    Args:
        title: its first line is the title, the others are the subtitle; long lines are wrapped.
        width_inches: width of the figure.
        height_inches: height of what comes below the title.
    """
    headline, _, subtitle = title.partition("\n")
    heading = textwrap.wrap(headline, int(13 * width_inches))  # so many characters of that size are an inch
    lines = heading + [part for line in subtitle.splitlines() for part in textwrap.wrap(line, int(17 * width_inches))]
    total_inches = height_inches + _LINE_INCHES * len(lines) + 2 * _MARGIN_INCHES
    figure = Figure(figsize=(width_inches, total_inches), dpi=_DOTS_PER_INCH, facecolor="white")
    figure.set_layout_engine("constrained", rect=(0, 0, 1, height_inches / total_inches))
    for number, line in enumerate(lines):
        x, y = _MARGIN_INCHES / width_inches, 1 - (_MARGIN_INCHES + _LINE_INCHES * number) / total_inches
        text = figure.text(x, y, line, va="top", fontsize=TEXT_POINTS, color=GREY, parse_math=False)
        if number < len(heading):
            text.set(fontsize=_TITLE_POINTS, fontweight="bold", color="black")
    return figure


def tidy(axes: Axes, *, grid: str) -> None:
    """Make ticks small, remove half of the frame, and lay a pale grid behind the data.

    Args:
        axes: is changed.
        grid: which lines: `x`, `y` or `both`.
    """
    axes.tick_params(which="both", labelsize=TEXT_POINTS, length=2, width=0.5, pad=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_linewidth(0.5)
    axes.grid(axis=grid, color=LIGHT_GREY, linewidth=0.4)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def add_legend(figure: Figure, axes: Axes, num_columns: int, title: str | None = None) -> None:
    """Write the legend of an axes below the figure's plots."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=num_columns,
        fontsize=TEXT_POINTS,
        title=title,
        title_fontsize=TEXT_POINTS,
        frameon=False,
        handlelength=1.4,
        columnspacing=1.0,
        labelspacing=0.25,
    )


def shorten(names: Sequence[str]) -> list[str]:
    """Return names of classes as they fit beside a plot: long ones are cut, and no dollar begins a formula."""
    cut = [name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1].rstrip() + "…" for name in names]
    return [name.replace("$", r"\$") for name in cut]


def name_rows(axes: Axes, names: Sequence[str], positions: Float64[np.ndarray, " N"]) -> None:
    """Write names beside the rows of an axes, from top to bottom.

    Args:
        axes: is changed.
        names: of the rows.
        positions: rising, and 1 apart or more; they count downwards.
    """
    axes.set_yticks(positions, shorten(names))
    axes.tick_params(axis="y", length=0)
    if len(positions):
        axes.set_ylim(positions[-1] + 0.6, positions[0] - 0.6)


def write_absent(
    axes: Axes, row: float, text: str = NO_GROUND_TRUTH, *, start: float = 0.0, points: float = SMALL_POINTS
) -> None:
    """Write into a row why there is nothing in it, from `start` on."""
    note = axes.annotate(
        text, (start, row), (2, 0), textcoords="offset points", va="center", fontsize=points, color=GREY, style="italic"
    )
    note.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0})


def split_rows(num_rows: int) -> list[slice]:
    """Split the rows of many classes evenly into panels that stand side by side."""
    num_panels = max(1, -(-num_rows // _MAX_ROWS))
    length = -(-num_rows // num_panels)
    return [slice(panel * length, min((panel + 1) * length, num_rows)) for panel in range(num_panels)]


def percent_panels(figure: Figure, num_panels: int) -> list[Axes]:
    """Add axes from 0 to 100 percent, side by side, for horizontal bars."""
    panels = [figure.add_subplot(1, num_panels, number + 1) for number in range(num_panels)]
    for axes in panels:
        tidy(axes, grid="x")
        axes.set_xlim(0, 100)
        axes.set_xlabel("percent", fontsize=TEXT_POINTS)
    return panels


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a figure as a PNG, with the same bytes each time; its folder is made, an old file is replaced."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")  # a second layout starts from the first one and may move things by a pixel
    figure.savefig(path, format="png", dpi="figure", metadata={"Software": None})  # it would name matplotlib's version
