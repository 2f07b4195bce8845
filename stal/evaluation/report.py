"""Numbers as tables on the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stal.metrics.actor_accuracy import ACTOR_ACCURACY, WORST_GROUP_ACCURACY
from stal.metrics.max_box_acc import MAX_BOX_ACC, max_box_acc_name

MIN_WIDTH, MAX_WIDTH = 80, 120


def new_console() -> Console:
    """Return a console as wide as the terminal, within limits; without one, wide enough for the tables."""
    console = Console()
    width = console.width if console.is_terminal else MAX_WIDTH
    return Console(width=min(max(width, MIN_WIDTH), MAX_WIDTH))


def print_origin(origin: Mapping[str, Any]) -> None:
    """Print what is evaluated, and what of it was dropped or is missing; `origin` as of `Evaluand`."""
    print_note(f"ground truth: {origin['ground_truth']}" + (f", split {origin['split']}" if origin["split"] else ""))
    print_note(f"detections:   {origin['detections']}")
    linked = f"linked here by {origin['linked_by']}" if origin["linked_by"] else "none"
    print_note(f"tubes:        {origin['tubes'] or linked}")
    if not origin["half_open"]:
        print_note("no `format` in the file: frames count from 1, coordinates are taken as they are stored")
    for reason, count in origin["dropped"].items():
        print_note(f"dropped {count:,}: {reason}")
    if origin["num_videos_without_predictions"]:
        print_note(
            f"{origin['num_videos_without_predictions']:,} annotated videos have no predictions: all in them is missed"
        )


def print_note(text: str) -> None:
    """Print a line as it is, however long."""
    Console().print(text, highlight=False, markup=False, soft_wrap=True)


def print_summary(summary: Mapping[str, Any], title: str) -> None:
    """Print the headline numbers, of all classes with their intervals and of each class.

    Args:
        summary: as of `summarize`.
        title: what was evaluated.
    """
    names = [name for name in summary if "mAP" in name]
    protocol = summary["protocol"]
    table = Table(
        min_width=MIN_WIDTH,
        title=f"{escape(title)}: {summary['num_videos']:,} videos, protocol {protocol['name']} ({protocol['hash']})",
    )
    table.add_column("class")
    for name in names:
        table.add_column(_header(name), justify="right")
    intervals = summary.get("intervals")
    table.add_row("all", *(_number(summary[name]) for name in names), style="bold", end_section=intervals is None)
    if intervals:
        cells = [_interval(intervals[name]["interval"]) for name in names]
        table.add_row(f"{summary['bootstrap']['confidence']:.0%} interval", *cells, end_section=True)
    annotated = {
        label: values for label, values in summary["per_class"].items() if any(v is not None for v in values.values())
    }
    for label, values in annotated.items():
        table.add_row(escape(label), *(_number(values[name]) for name in names))
    left_out = len(summary["per_class"]) - len(annotated)
    table.caption = f"left out: {left_out} classes without ground truth" if left_out else None
    new_console().print(table)
    if "actors" in summary:
        print_note(_actors(summary))
    if "max_box_acc" in summary:
        print_note(_maps(summary))


def _actors(summary: Mapping[str, Any]) -> str:
    """Return in words how well the actions of actors are told apart."""
    actors = summary["actors"]
    worst = actors["worst_group"]
    text = (
        f"actor accuracy {_with_interval(summary, ACTOR_ACCURACY)}, of the most common class "
        f"{_number(actors['majority'])}"
    )
    if worst is None:
        return text
    group = f"{worst['action']}, {worst['scene']}, {worst['num_tubes']} tubes"
    return f"{text}; worst group ({group}) {_with_interval(summary, WORST_GROUP_ACCURACY)}"


def _maps(summary: Mapping[str, Any]) -> str:
    """Return in words how well maps of classes locate actors."""
    maps = summary["max_box_acc"]
    at = ", ".join(
        f"{_number(summary[max_box_acc_name(float(delta))])} at {delta} (threshold {threshold:.3f})"
        for delta, threshold in maps["thresholds"].items()
    )
    return (
        f"{MAX_BOX_ACC} {_with_interval(summary, MAX_BOX_ACC)}, of {maps['num_maps']:,} maps: {at}; thresholds chosen "
        f"on {maps['thresholds_chosen_on']}"
    )


def _with_interval(summary: Mapping[str, Any], name: str) -> str:
    """Return a headline number, and its interval if there is one."""
    ends = ((summary.get("intervals") or {}).get(name) or {}).get("interval")
    return _number(summary[name]) + (f" ({_interval(ends)})" if ends else "")


def print_diagnoses(diagnoses: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the error budget, recall and strata of `frames` and `tubes`; each value is as of `describe_diagnosis`."""
    console = new_console()
    table = Table(
        min_width=MIN_WIDTH,
        title="areas that sum to 100; by TIDE: what fixing an error alone would bring, and how many there are",
    )
    table.add_column("")
    for kind, diagnosis in diagnoses.items():
        table.add_column(f"{kind}, IoU {diagnosis['iou_threshold']}", justify="right")
        for name in ("if fixed", "number"):
            table.add_column(name, justify="right")
    precisions = (_number(diagnosis["mAP"]) for diagnosis in diagnoses.values())
    table.add_row("mAP", *(cell for precision in precisions for cell in (precision, "", "")), style="bold")
    for error in next(iter(diagnoses.values()))["error_areas"]["mean"]:
        table.add_row(error, *(cell for diagnosis in diagnoses.values() for cell in _budget_cells(diagnosis, error)))
    table.add_section()
    for name, value in (
        ("recall", lambda d: d["recall"]["mean"]),
        ("MABO (mean best overlap)", lambda d: d["best_overlap"]["mean"]),
        ("calibration error", lambda d: d["calibration"]["expected_error"]),
    ):
        table.add_row(name, *(cell for d in diagnoses.values() for cell in (_number(value(d)), "", "")))
    console.print(table)

    table = Table(min_width=MIN_WIDTH, title="mAP by motion and by size of the actors; in brackets: how many there are")
    table.add_column("")
    first = next(iter(diagnoses.values()))
    for by in ("motion", "size"):
        for name in first[f"by_{by}"]:
            table.add_column(name if name != "medium" else f"medium {by}", justify="right")
    for kind, diagnosis in diagnoses.items():
        strata = [*diagnosis["by_motion"].values(), *diagnosis["by_size"].values()]
        table.add_row(kind, *(f"{_number(stratum['mAP'])} ({stratum['num_truth']:,})" for stratum in strata))
    console.print(table)


def _budget_cells(diagnosis: Mapping[str, Any], error: str) -> tuple[str, str, str]:
    """Return the area of an error and, by TIDE, what fixing it would bring and how many there are."""
    area, gain = (diagnosis[kind]["mean"][error] for kind in ("error_areas", "fix_gains"))
    return _number(area), "-" if gain is None else f"{gain:+.2f}", f"{diagnosis['fix_gains']['counts'][error]:,}"


def print_protocols(by_protocol: Mapping[str, Mapping[str, Any]]) -> None:
    """Print one row per protocol; each value is as of `summarize`."""
    first = next(iter(by_protocol.values()))
    names = [name for name in first if "mAP" in name]
    table = Table(
        min_width=MIN_WIDTH, title=f"the same detections under every protocol: {first['num_videos']:,} videos"
    )
    for name in ("protocol", "hash"):
        table.add_column(name)
    for name in names:
        table.add_column(_header(name), justify="right")
    for name, summary in by_protocol.items():
        table.add_row(name, summary["protocol"]["hash"], *(_number(summary[metric]) for metric in names))
    new_console().print(table)


def print_written(out: str | Path | None, plots: str | Path | None) -> None:
    """Print where the numbers and the plots are."""
    for name, path in (("numbers", out), ("plots", plots)):
        if path is not None:
            print_note(f"{name}: {path}")


def _header(metric: str) -> str:
    """Return the name of a metric on two lines, so that columns are narrow."""
    return metric.replace("@", "\n@")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"
