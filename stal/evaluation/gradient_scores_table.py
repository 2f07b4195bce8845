"""The scores of attributions as a table on the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from stal.evaluation.report import MIN_WIDTH, new_console

_COLUMNS = (  # key, header, factor, decimals
    ("inside_share", "energy in\nactor, %", 100, 1),
    ("volume_share", "actor's\nvolume, %", 100, 1),
    ("points_at_actor", "points at\nactor, %", 100, 1),
    ("insertion_auc", "insertion\nAUC", 1, 3),
    ("deletion_auc", "deletion\nAUC", 1, 3),
    ("random_weights_correlation", "like random\nweights'", 1, 2),
)


def print_gradient_scores(table: Mapping[str, Any]) -> None:
    """Print the scores of every method with their intervals, and those of each class.

    Args:
        table: as of `measure_gradient_scores`.
    """
    drawn = Table(
        "method, class",
        min_width=MIN_WIDTH,
        title=f"{escape(table['checkpoint'])} on {escape(table['set'])}: {table['num_actors']:,} actors of "
        f"{table['num_videos']:,} videos",
        caption="random_map: what a map of random numbers reaches\n"
        "insertion: higher is better, deletion: lower\n"
        "like random weights': rank correlation of the map with that of a network with random weights",
    )
    for _, header, _, _ in _COLUMNS:
        drawn.add_column(header, justify="right")
    for method, scores in table["methods"].items():
        drawn.add_row(escape(method), *_cells(scores["all"], "value"), style="bold")
        drawn.add_row(f"{table['confidence']:.0%} interval", *_cells(scores["all"], "interval"))
        for name, of_class in scores["classes"].items():
            drawn.add_row(f"  {escape(name)} ({of_class['num_actors']})", *_cells(of_class, "value"))
        drawn.add_section()
    new_console().print(drawn)


def _cells(scores: Mapping[str, Any], part: str) -> list[str]:
    cells = []
    for key, _, factor, decimals in _COLUMNS:
        value = scores[key][part]
        ends = () if value is None else value if part == "interval" else (value,)
        cells.append(" to ".join(f"{factor * end:.{decimals}f}" for end in ends) or "-")
    return cells
