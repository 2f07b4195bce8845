"""The tables of the page, as rows of cells that can be sorted and filtered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from stal.metrics.actor_accuracy import ACTOR_ACCURACY
from stal.metrics.comparison import Comparison, Difference
from stal.metrics.scene_shift import SHIFT_METRICS
from stal.report.scored_set import ScoredSet

MAX_TUBES = 1000  # rows of the table of tubes
_PER_CLASS = ("frame_mAP@0.5", "video_mAP@0.5")
_NONE = "-"


@dataclass(frozen=True)
class Cell:
    """What stands in a cell.

    Attributes:
        text: as it is read.
        value: what rows are sorted by; None for nothing, which comes last.
        details: smaller texts below it.
    """

    text: str
    value: float | int | str | None = None
    details: tuple[str, ...] = ()

    @classmethod
    def of_text(cls, text: str) -> "Cell":
        """Return a cell that sorts by its text."""
        return cls(text, text.lower())


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its header.
        is_number: whether it is set flush right, and sorts from the highest value on at first.
        has_menu: whether rows can be filtered by one of its values.
    """

    name: str
    is_number: bool = True
    has_menu: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of the table in the page.
        caption: what its numbers are.
        columns: of every row.
        rows: as many cells as columns.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def headline_table(summaries: Mapping[str, Mapping[str, Any]], comparison: Comparison | None) -> Table:
    """Return the headline numbers of every detector with their intervals and, of two, what the second gains.

    Args:
        summaries: by the name of the detector, its numbers as of `summarize`.
        comparison: of two detectors on the same videos.
    """
    names = [name for name in next(iter(summaries.values())) if "mAP" in name or name.endswith("_accuracy")]
    columns = [Column("metric", is_number=False), *(Column(detector) for detector in summaries)]
    if comparison is not None:
        columns += [Column("difference"), Column("p")]
    rows = []
    for name in names:
        if all(summary.get(name) is None for summary in summaries.values()):
            continue  # a metric that the protocol or the data do not have
        row = [Cell.of_text(_written(name))]
        row += [
            _estimate(summary.get(name), (summary.get("intervals") or {}).get(name, {}).get("interval"))
            for summary in summaries.values()
        ]
        if comparison is not None:
            row += _difference(comparison.metrics.get(name))
        rows.append(row)
    caption = "In percent; below each number its 95 % interval, by a bootstrap over videos"
    return Table("headlines", caption, columns, rows)


def class_table(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the AP of every class, of boxes and of tubes."""
    first = next(iter(summaries.values()))
    metrics = [name for name in _PER_CLASS if name in first]
    columns = [Column("class", is_number=False)]
    columns += [Column(f"{metric.replace('mAP', 'AP')}, {name}") for metric in metrics for name in summaries]
    if len(summaries) == 2:
        columns += [Column(f"{metric.replace('mAP', 'AP')}, difference") for metric in metrics]
    rows = []
    for label in first["per_class"]:
        values = [[summary["per_class"].get(label, {}).get(m) for summary in summaries.values()] for m in metrics]
        intervals = [
            [(s.get("per_class_intervals") or {}).get(label, {}).get(m) for s in summaries.values()] for m in metrics
        ]
        row = [Cell.of_text(label)]
        row += [
            _estimate(v, i) for vs, ends in zip(values, intervals, strict=True) for v, i in zip(vs, ends, strict=True)
        ]
        if len(summaries) == 2:
            row += [_signed(None if None in pair else pair[1] - pair[0]) for pair in values]
        rows.append(row)
    return Table("classes", "Average precision of each class, in percent", columns, rows)


def scene_shift_table(shifts: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the numbers of every detector on every set of videos, and what each set costs.

    Args:
        shifts: by the name of the detector, what scene_shift.json holds.
    """
    columns = [Column("set", is_number=False, has_menu=True), Column("detector", is_number=False, has_menu=True)]
    columns += [Column(_written(metric)) for metric in SHIFT_METRICS]
    columns += [Column("actor accuracy over majority"), Column("worst group", is_number=False), Column("videos")]
    rows = []
    for name in dict.fromkeys(name for shift in shifts.values() for name in shift["sets"]):
        for detector, shift in shifts.items():
            if (of_set := shift["sets"].get(name)) is None:
                continue
            drops = shift["drops"].get(name, {})
            row = [Cell.of_text(name), Cell.of_text(detector)]
            for metric in SHIFT_METRICS:
                cell = _estimate(of_set[metric]["value"], of_set[metric]["interval"])
                row.append(Cell(cell.text, cell.value, cell.details + _drop(drops.get(metric))))
            accuracy, majority = of_set[ACTOR_ACCURACY]["value"], of_set["actors"]["majority"]
            row.append(_signed(None if accuracy is None else accuracy - majority))
            worst = of_set["actors"]["worst_group"]
            row.append(Cell(_NONE) if worst is None else Cell.of_text(f"{worst['action']}, {worst['scene']}"))
            row.append(Cell(f"{of_set['num_videos']:,}", of_set["num_videos"]))
            rows.append(row)
    first = next(iter(shifts.values()))["first"]
    caption = f"In percent; below each number its 95 % interval, and how far it lies below that of {first}"
    return Table("scene-shift", caption, columns, rows)


def tube_table(scored: Mapping[str, ScoredSet], drops: Mapping[str, Float64[np.ndarray, " G"]]) -> Table:
    """Return what every annotated tube is taken for, the ones with the lowest scores first.

    Args:
        scored: by the name of the detector, its detections; of the same videos.
        drops: by the name of the detector, how much the score of each tube falls on other scenes; of none if there are
            no copies.
    """
    first = next(iter(scored.values()))
    truth, classes = first.tables.truth, first.annotations.classes
    columns = [Column("video", is_number=False), Column("class", is_number=False, has_menu=True), Column("frames")]
    for detector in scored:
        columns += [Column(f"{detector}: taken for", is_number=False, has_menu=True), Column(f"{detector}: score")]
        columns += [Column(f"{detector}: drop on other scenes")] if detector in drops else []
    own = {name: of_set.truth_scores[np.arange(len(truth)), truth.labels] for name, of_set in scored.items()}
    order = np.argsort(np.mean(list(own.values()), axis=0), kind="stable")[:MAX_TUBES].tolist()
    rows = []
    for row in order:
        cells = [
            Cell.of_text(first.annotations.videos[truth.videos[row]].key),
            Cell.of_text(classes[truth.labels[row]]),
            Cell(f"{truth.lengths[row]}", int(truth.lengths[row])),
        ]
        for detector, of_set in scored.items():
            scores = of_set.truth_scores[row]
            taken = classes[int(scores.argmax())] if scores.max() > 0 else "not found"
            cells += [Cell.of_text(taken), Cell(f"{own[detector][row]:.2f}", float(own[detector][row]))]
            if detector in drops:
                drop = float(drops[detector][row])
                cells.append(Cell(_NONE) if np.isnan(drop) else Cell(f"{drop:+.2f}", drop))
        rows.append(cells)
    left_out = f"; {len(truth) - MAX_TUBES:,} with higher scores are left out" if len(truth) > MAX_TUBES else ""
    return Table(
        "tubes",
        "What each annotated tube is taken for: the class of the surest detected tube that overlaps it by 0.5, and the "
        f"score of its own class, 0 where there is none{left_out}",
        columns,
        rows,
    )


def _written(name: str) -> str:
    return name.replace("_", " ").replace(" mAP", "-mAP")


def _estimate(value: float | None, interval: Sequence[float] | None) -> Cell:
    if value is None:
        return Cell(_NONE)
    return Cell(f"{value:.1f}", value, () if interval is None else (f"{interval[0]:.1f} to {interval[1]:.1f}",))


def _signed(value: float | None) -> Cell:
    return Cell(_NONE) if value is None else Cell(f"{value:+.1f}", value)


def _difference(difference: Difference | None) -> list[Cell]:
    if difference is None or difference.difference is None:
        return [Cell(_NONE), Cell(_NONE)]
    interval, p = difference.interval, difference.p
    details = () if interval is None else (f"{interval[0]:+.1f} to {interval[1]:+.1f}",)
    of_p = Cell(_NONE) if p is None else Cell(f"{p:.3f}", p)
    return [Cell(f"{difference.difference:+.1f}", difference.difference, details), of_p]


def _drop(drop: Mapping[str, Any] | None) -> tuple[str, ...]:
    if drop is None or drop["value"] is None:
        return ()
    interval = "" if drop["interval"] is None else f" ({drop['interval'][0]:.1f} to {drop['interval'][1]:.1f})"
    return (f"drop {drop['value']:.1f}{interval}",)
