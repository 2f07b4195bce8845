"""Print metrics as a table."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def print_metrics(path: Path) -> None:
    """Print the content of a `metrics.json` as a table: all classes together, then each that is annotated."""
    metrics: dict[str, Any] = json.loads(path.read_text())
    names = [name for name in metrics if "mAP" in name]
    table = Table(title=f"{path}: {metrics['num_videos']} videos of {metrics['split']}, {metrics['protocol']['name']}")
    table.add_column("class")
    for name in names:
        table.add_column(name, justify="right")
    table.add_row("all", *(_percent(metrics[name]) for name in names), style="bold", end_section=True)
    annotated = {
        label: values for label, values in metrics["per_class"].items() if any(v is not None for v in values.values())
    }
    for label, values in annotated.items():
        table.add_row(label, *(_percent(values[name]) for name in names))
    left_out = len(metrics["per_class"]) - len(annotated)
    table.caption = f"left out: {left_out} classes without ground truth" if left_out else None
    Console(width=120).print(table)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
