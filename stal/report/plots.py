"""Plots as images that stand in the page itself."""

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

from stal.engine.display.counting import track
from stal.evaluation.plots import plot_diagnosis
from stal.report.scored_set import ScoredSet
from stal.report.work_dir import Curves
from stal.visualize.training_plots import plot_training

_TITLES = {
    "precision_recall": "Precision and recall",
    "error_budget": "Error budget",
    "fix_gains": "What fixing an error would bring",
    "confusion": "Confusion of actions",
    "calibration": "Calibration of scores",
}
_PATH = re.compile(r'(?<= d=")[^"]*')
_DECIMALS = re.compile(r"(\.\d\d)\d+")  # a hundredth of a point is seen by no one, and takes half of the file
_PIXELS_PER_INCH = 165  # two plots of a column stand side by side
_KINDS = {"frames": "boxes on frames", "tubes": "tubes"}


@dataclass(frozen=True)
class Plot:
    """An image of the page.

    Attributes:
        detector: what it is of; empty if it is of all.
        alt: what it shows, for those who do not see it.
        source: the image, as a data URI.
        width: in pixels, as it is meant to be read.
    """

    detector: str
    alt: str
    source: str
    width: int


@dataclass(frozen=True)
class PlotGroup:
    """Plots of one kind, one for each detector.

    Attributes:
        title: what they show.
        plots: side by side.
    """

    title: str
    plots: tuple[Plot, ...]


def draw_diagnoses(scored: Mapping[str, ScoredSet]) -> list[PlotGroup]:
    """Return the plots of what is behind the numbers, by kind: of tubes, then of boxes.

    Args:
        scored: by the name of the detector, its detections.
    """
    drawn: dict[str, list[Plot]] = {}
    for detector in track(list(scored), "plots"):
        evaluation = scored[detector].evaluation
        for name, figure in plot_diagnosis(evaluation.summary, evaluation.diagnoses, evaluation.classes):
            if name != "per_class":  # the page has it as a table
                alt = f"{_title(name)}, {detector}"
                drawn.setdefault(name, []).append(_plot(figure, detector, alt))
    in_order = sorted(drawn, key=lambda name: not name.startswith("tubes"))
    return [PlotGroup(_title(name), tuple(drawn[name])) for name in in_order]


def draw_training(curves: Mapping[str, Curves]) -> Plot:
    """Return the plot of what was logged while the detectors trained.

    Args:
        curves: by the name of the detector, at least one with a number.
    """
    names = ", ".join(name.replace("_", " ") for name in dict.fromkeys(name for of in curves.values() for name in of))
    figure = plot_training(
        curves, title="Training\nover the iterations; each point of a loss is a mean over those before it"
    )
    return _plot(figure, "", f"Curves over the iterations of {names}, of {' and '.join(curves)}")


def _plot(figure: Figure, detector: str, alt: str) -> Plot:
    image = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "stal"}):  # the same bytes each time
        figure.savefig(image, format="svg", metadata={"Date": None, "Creator": None})
    short = _PATH.sub(lambda path: _DECIMALS.sub(r"\1", path[0]), image.getvalue().decode())
    source = f"data:image/svg+xml;base64,{base64.b64encode(short.encode()).decode()}"
    return Plot(detector, alt, source, round(_PIXELS_PER_INCH * figure.get_figwidth()))


def _title(name: str) -> str:
    kind, _, plot = name.partition("_")
    return f"{_TITLES[plot]}: {_KINDS[kind]}"
