"""The page of a report: one HTML file that loads nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

import stal
from stal.report.absent import Absent
from stal.report.choice import KINDS
from stal.report.plots import Plot, PlotGroup
from stal.report.scored_set import ScoredSet
from stal.report.shown_clip import ShownClip
from stal.report.tables import Table
from stal.report.work_dir import WorkDir

_SCRIPTS = ("theme.js", "tables.js", "space.js", "clips.js")
_TILES = ("frame_mAP@0.5", "video_mAP@0.5")


@dataclass(frozen=True)
class PageClip:
    """A clip as the page has it.

    Attributes:
        shown: what it shows.
        data: what the scripts are told of it, as of `ShownClip.data`.
    """

    shown: ShownClip
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """What stands on the page; None and nothing for parts that are absent.

    Attributes:
        sides: the detectors.
        summaries: by the name of the detector, its numbers as of `summarize`.
        scored: by the name of the detector, its detections.
        headlines: the headline numbers.
        classes: the numbers of every class.
        clips: detections with their gradient tubes.
        uses_drops: whether the scene-reliant ones are chosen by the drop of their score on other scenes.
        scene_shift: the numbers on several sets.
        training: the curves of the training.
        plots: precision and recall, errors, confusion, ...
        tubes: what became of every annotated tube.
        absent: what is not there, and how to make it.
    """

    sides: tuple[WorkDir, ...]
    summaries: Mapping[str, Mapping[str, Any]]
    scored: Mapping[str, ScoredSet]
    headlines: Table | None
    classes: Table | None
    clips: tuple[PageClip, ...]
    uses_drops: bool
    scene_shift: Table | None
    training: Plot | None
    plots: tuple[PlotGroup, ...]
    tubes: Table | None
    absent: tuple[Absent, ...]

    @property
    def tiles(self) -> list[tuple[str, str, str, str]]:
        """Return the most important numbers: of what detector and what, the value, and its interval."""
        return [
            (
                detector,
                metric.replace("_", "-"),
                f"{summary[metric]:.1f}",
                _interval((summary.get("intervals") or {}).get(metric, {}).get("interval")),
            )
            for metric in _TILES
            for detector, summary in self.summaries.items()
            if summary.get(metric) is not None
        ]


def render(page: Page) -> str:
    """Return the page as HTML.

    Texts are escaped by the template, and the data of the scripts so that no name in them can end the script.
    """
    environment = Environment(
        loader=PackageLoader("stal.report", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template("page.html").render(
        page=page,
        kinds=KINDS,
        data={"clips": [clip.data for clip in page.clips]},
        style=_text("page.css"),
        scripts=Markup("\n").join(map(_text, _SCRIPTS)),
        version=stal.__version__,
    )


def _text(name: str) -> Markup:
    """Return a file of the page, which the project itself wrote, and which is not to be escaped."""
    return Markup((files("stal.report") / "templates" / name).read_text(encoding="utf-8"))


def _interval(ends: tuple[float, float] | list[float] | None) -> str:
    return "" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"
