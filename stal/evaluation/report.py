"""Numbers as tables on the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH, MIN_WIDTH = 120, 80


def print_origin(origin: Mapping[str, Any]) -> None:
    """Print what is evaluated, and what of it was dropped or is missing; `origin` as of `Evaluand`."""
    console = Console(width=WIDTH)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(f"ground truth: {origin['ground_truth']}" + (f", split {origin['split']}" if origin["split"] else ""))
    say(f"detections:   {origin['detections']}")
    say(f"tubes:        {origin['tubes'] or 'linked here'}")
    if not origin["half_open"]:
        say("no `format` in the file: frames count from 1, coordinates are taken as they are stored")
    for reason, count in origin["dropped"].items():
        say(f"dropped {count:,}: {reason}")
    if origin["num_videos_without_predictions"]:
        say(f"{origin['num_videos_without_predictions']:,} annotated videos have no predictions: all in them is missed")


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
        title=f"{title}: {summary['num_videos']:,} videos, protocol {protocol['name']} ({protocol['hash']})",
    )
    table.add_column("class")
    for name in names:
        table.add_column(name, justify="right")
    intervals = summary.get("intervals")
    table.add_row("all", *(_number(summary[name]) for name in names), style="bold", end_section=intervals is None)
    if intervals:
        cells = [_interval(intervals[name]["interval"]) for name in names]
        table.add_row(f"{summary['bootstrap']['confidence']:.0%} interval", *cells, end_section=True)
    annotated = {
        label: values for label, values in summary["per_class"].items() if any(v is not None for v in values.values())
    }
    for label, values in annotated.items():
        table.add_row(label, *(_number(values[name]) for name in names))
    left_out = len(summary["per_class"]) - len(annotated)
    table.caption = f"left out: {left_out} classes without ground truth" if left_out else None
    Console(width=WIDTH).print(table)


def print_diagnoses(diagnoses: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the error budget, recall and strata of `frames` and `tubes`; each value is as of `describe_diagnosis`."""
    console = Console(width=WIDTH)
    table = Table(
        min_width=MIN_WIDTH,
        title="where 100 % goes; in brackets: the mAP that fixing it would bring; number of such errors",
    )
    table.add_column("error")
    for kind, diagnosis in diagnoses.items():
        table.add_column(f"{kind} at IoU {diagnosis['iou_threshold']}", justify="right")
    for name in next(iter(diagnoses.values()))["error_areas"]["mean"]:
        table.add_row(name, *(_budget_cell(diagnosis, name) for diagnosis in diagnoses.values()))
    table.add_section()
    for name, value in (
        ("recall", lambda d: d["recall"]["mean"]),
        ("mean best overlap", lambda d: d["best_overlap"]["mean"]),
        ("calibration error", lambda d: d["calibration"]["expected_error"]),
    ):
        table.add_row(name, *(_number(value(diagnosis)) for diagnosis in diagnoses.values()))
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


def _budget_cell(diagnosis: Mapping[str, Any], error: str) -> str:
    area, gain = (diagnosis[kind]["mean"][error] for kind in ("error_areas", "fix_gains"))
    gained = "-" if gain is None else f"{gain:+.2f}"
    return f"{_number(area)} ({gained}) {diagnosis['error_areas']['counts'][error]:9,}"


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
        table.add_column(name, justify="right")
    for name, summary in by_protocol.items():
        table.add_row(name, summary["protocol"]["hash"], *(_number(summary[metric]) for metric in names))
    Console(width=WIDTH).print(table)


def print_written(out: str | Path | None, plots: str | Path | None) -> None:
    """Print where the numbers and the plots are."""
    for name, path in (("numbers", out), ("plots", plots)):
        if path is not None:
            Console().print(f"{name}: {path}", highlight=False, markup=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"
