"""The tables of a benchmark."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from stal.evaluation.report import new_console, print_note


def print_benchmark(found: Mapping[str, Any]) -> None:
    """Print what `benchmark` has found."""
    frames, height, width = found["clip_size"]
    console = new_console()
    for kind in ("train", "detect"):
        rows = found[kind]
        baseline = next(iter(rows))
        table = Table(
            kind,
            title=f"{found['config']}; {found['device']}; {found['precision']}",
            caption=f"{found['batch_size']} clips of {frames} x {height} x {width}, {found['num_actors']} actors each; "
            f"ratio: time to that of the {baseline}; roof: what the operations would take at the speed of a product of "
            "large matrices, to the time",
        )
        for column in ("ms", "clips/s", "ratio", "GFLOP", "roof", "peak MiB", "parts"):
            table.add_column(column, justify="left" if column == "parts" else "right")
        for name, row in rows.items():
            roof = row["flops"] / found["matmul_flops_per_second"] / row["seconds"]
            table.add_row(
                name,
                f"{row['seconds'] * 1e3:.0f}",
                f"{row['clips_per_second']:.2f}",
                f"{row['ratio']:.2f}",
                f"{row['flops'] / 1e9:.3g}",
                f"{roof:.0%}",
                "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:.0f}",
                ", ".join(f"{part} {share:.0%}" for part, share in row["parts"].items()),
            )
        console.print(table)
    _print_loader(found["loader"])


def _print_loader(loader: Mapping[str, Any] | None) -> None:
    if loader is None:
        return
    if "not_measured" in loader:
        print_note(f"the loader was not measured: {loader['not_measured']}")
        return
    print_note(
        f"loader, {loader['num_workers']} workers: {loader['clips_per_second']:.2f} clips/s alone, "
        f"{loader['end_to_end_clips_per_second']:.2f} clips/s read and trained on, of which "
        f"{loader['data_time_share']:.0%} of the time was spent waiting for clips"
    )
