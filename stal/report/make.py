"""Make the report of one training or of two: what tools/report.py does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from stal.attribution.methods import Method
from stal.attribution.roi_score import Pathway
from stal.data.formats.whole_file import open_whole
from stal.data.video.reader import read_frames
from stal.engine.display.counting import track
from stal.engine.entry import test
from stal.engine.runner import build_protocol
from stal.errors import AnnotationError, ConfigError
from stal.evaluation.report import print_note
from stal.metrics.comparison import Comparison, compare
from stal.report.absent import Absent, find_absent
from stal.report.clips import ClipMaker
from stal.report.gradient_tubes import TubeMaker
from stal.report.page import Page, PageClip, render
from stal.report.plots import draw_diagnoses, draw_training
from stal.report.scene_copies import mean_drops
from stal.report.scored_set import ScoredSet, read_scored_set
from stal.report.shown_clip import ShownClip
from stal.report.tables import class_table, headline_table, scene_shift_table, tube_table
from stal.report.work_dir import WorkDir, open_work_dir

PAGE_FILE = "index.html"
MAX_SIDES = 2

Drops = Mapping[str, Float64[np.ndarray, " G"]]
"""By the name of a detector, how much the score of each annotated tube falls on other scenes."""


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        path: the page.
        num_bytes: its size.
        absent: parts that could not be made.
    """

    path: Path
    num_bytes: int
    absent: tuple[Absent, ...]


def make_report(
    work_dirs: Sequence[str | Path],
    out: str | Path,
    *,
    configs: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    num_clips: int = 4,
    run_tests: bool = True,
    method: Method = "input_gradient",
    pathway: Pathway = "both",
    options: Mapping[str, Any] | None = None,
) -> Report:
    """Make a page of all that is known of one detector, or of two beside each other.

    A detector without dumped detections is tested first on the split that its config tests on, which leaves
    `metrics.json` and `detections.npz` in its work directory. Nothing else there is changed.

    Args:
        work_dirs: one work directory of a training, or two.
        out: folder of the page, `index.html`, which is one file that needs no other.
        configs: their config files; None for the copies that training left in the work directories.
        names: what the detectors are called; None for the names of the work directories.
        num_clips: detections that are shown of each kind; 0 for none, and then no video is read.
        run_tests: False to leave out what needs detections that are not there; the page says how to make them.
        method: of the gradient tubes, see `attribute`.
        pathway: the way into the network that is looked at.
        options: settings of all configs to change.

    Raises:
        StalError: a work directory cannot be read, the two were tested on different videos, or a setting cannot be.
    """
    if num_clips < 0:
        raise ConfigError(f"--num-clips {num_clips}: give 0 or more")
    sides = _open(work_dirs, configs, names, options)
    if run_tests:
        _run_missing_tests(sides)
    scored = _score(sides)
    shifts = {side.name: shift for side in sides if (shift := side.scene_shift()) is not None}
    drops = _measure_drops(sides, scored, shifts)
    curves = {side.name: of_side for side in sides if (of_side := side.curves())}
    absent = find_absent(sides, scored=scored, shifts=shifts, drops=drops, curves=curves, num_clips=num_clips)
    numbers = {side.name: _numbers(side, scored) for side in track(sides, "scoring")}
    summaries = {name: summary for name, summary in numbers.items() if summary is not None}
    maker = (
        None if any(part.section == "clips" for part in absent) else _clip_maker(sides, scored, drops, method, pathway)
    )
    page = Page(
        sides=tuple(sides),
        summaries=summaries,
        scored=scored,
        headlines=headline_table(summaries, _compare(sides, scored)) if summaries else None,
        classes=class_table(summaries) if summaries else None,
        clips=tuple(map(_page_clip, track(maker.make(num_clips), "films"))) if maker else (),
        uses_drops=maker is not None and maker.uses_drops,
        scene_shift=scene_shift_table(shifts) if shifts else None,
        training=draw_training(curves) if curves else None,
        plots=tuple(draw_diagnoses(scored)),
        tubes=tube_table(scored, drops) if scored else None,
        absent=tuple(absent),
    )
    content = render(page).encode()
    path = Path(out) / PAGE_FILE
    with open_whole(path) as file:
        file.write(content)
    return Report(path, len(content), tuple(absent))


def _open(
    work_dirs: Sequence[str | Path],
    configs: Sequence[str] | None,
    names: Sequence[str] | None,
    options: Mapping[str, Any] | None,
) -> list[WorkDir]:
    num = len(work_dirs)
    if not 1 <= num <= MAX_SIDES:
        raise ConfigError(f"{num} work directories: a report is of one, or of two beside each other")
    for flag, given in (("--config", configs), ("--names", names)):
        if given is not None and len(given) != num:
            raise ConfigError(f"{flag} {' '.join(given)}: {len(given)} for {num} work directories; give one for each")
    sides = [
        open_work_dir(
            folder,
            config=None if configs is None else configs[number],
            name=None if names is None else names[number],
            options=options,
        )
        for number, folder in enumerate(work_dirs)
    ]
    if len({side.name for side in sides}) < num:
        raise ConfigError(f"both detectors are called {sides[0].name!r}; give them other names with --names")
    return sides


def _run_missing_tests(sides: Sequence[WorkDir]) -> None:
    """Test the detectors that have a checkpoint, but no detections."""
    for side in sides:
        if side.detections_file() is None and side.checkpoint is not None:
            print_note(f"{side.name} has no detections yet: testing it on {side.own_set} (--no-test leaves that out)")
            test(
                side.config_path,
                str(side.folder),
                work_dir=str(side.folder),
                dump=str(side.folder / "detections.npz"),
                options=side.options,
            )


def _score(sides: Sequence[WorkDir]) -> dict[str, ScoredSet]:
    """Return the scored detections by the names of the detectors that have some.

    Raises:
        AnnotationError: they are of different videos.
    """
    paths = [(side, path) for side in sides if (path := side.detections_file()) is not None]
    scored = {side.name: read_scored_set(path, build_protocol(side.config)) for side, path in paths}
    of_sets = [(of_set.annotations.classes, of_set.tables.keys) for of_set in scored.values()]
    if any(of_set != of_sets[0] for of_set in of_sets):
        raise AnnotationError(
            f"{' and '.join(str(of_set.path) for of_set in scored.values())} are of different classes or videos; test "
            "both detectors on the same split of the same data"
        )
    return scored


def _measure_drops(sides: Sequence[WorkDir], scored: Mapping[str, ScoredSet], shifts: Mapping[str, Any]) -> Drops:
    """Return how far scores fall, for the detectors with detections of the same actors on other scenes."""
    drops: dict[str, Float64[np.ndarray, " G"]] = {}
    for side in sides:
        others = [name for name in shifts.get(side.name, {}).get("sets", {}) if name != side.own_set]
        paths = [path for name in others if (path := side.detections_file(name)) is not None]
        if side.name in scored and paths:
            copies = [read_scored_set(path, build_protocol(side.config)) for path in paths]
            of_side = mean_drops(scored[side.name], copies)
            drops |= {} if np.isnan(of_side).all() else {side.name: of_side}
    return drops


def _numbers(side: WorkDir, scored: Mapping[str, ScoredSet]) -> dict[str, Any] | None:
    """Return the numbers of a detector: of its detections, else those that its last test wrote."""
    return scored[side.name].evaluation.summary if side.name in scored else side.metrics()


def _compare(sides: Sequence[WorkDir], scored: Mapping[str, ScoredSet]) -> Comparison | None:
    """Return the difference of two detectors with detections that one protocol scored; None for others."""
    protocols = [build_protocol(side.config) for side in sides]
    if len(scored) < MAX_SIDES or protocols[0] != protocols[1]:
        return None
    first, second = scored.values()
    return compare(first.annotations, first.tables, second.tables, protocols[0])


def _page_clip(shown: ShownClip) -> PageClip:
    video = shown.video
    return PageClip(shown, shown.data(read_frames(video.path, shown.frames, num_frames=video.num_frames)))


def _clip_maker(
    sides: Sequence[WorkDir], scored: Mapping[str, ScoredSet], drops: Drops, method: Method, pathway: Pathway
) -> ClipMaker:
    unknown = {name: np.full(len(of_set.tables.truth), np.nan) for name, of_set in scored.items()}
    return ClipMaker(
        names=list(scored),
        scored=list(scored.values()),
        makers=[TubeMaker(side, method, pathway) for side in sides],
        drops=[drops.get(name, unknown[name]) for name in scored],
    )
