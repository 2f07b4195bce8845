"""The scene shift of a detector as a table on the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from stal.evaluation.report import MIN_WIDTH, new_console
from stal.metrics.actor_accuracy import ACTOR_ACCURACY
from stal.metrics.max_box_acc import MAX_BOX_ACC
from stal.metrics.scene_shift import SHIFT_METRICS

_HEADERS = ("frame-mAP\n@0.5", "video-mAP\n@0.5", "actor\naccuracy", "over\nmajority", "worst\ngroup")


def print_scene_shift(shift: Mapping[str, Any]) -> None:
    """Print the numbers of every set with their intervals, and their drop from the first set.

    Args:
        shift: as of `scene_shift`.
    """
    first, protocol, bootstrap = shift["first"], shift["protocol"], shift["bootstrap"]
    table = Table(
        "set",
        min_width=MIN_WIDTH,
        title=f"{len(shift['sets'])} sets, protocol {protocol['name']} ({protocol['hash']})",
        caption="over majority: the actor accuracy - that of always naming the most common class\n"
        "paired: the intervals are for sets that show the same videos, each draw the same ones",
    )
    has_maps = all(MAX_BOX_ACC in of_set for of_set in shift["sets"].values())
    of_maps = (MAX_BOX_ACC,) if has_maps else ()
    for header in (*_HEADERS, *(("MaxBoxAcc\nV2-3D",) if has_maps else ())):
        table.add_column(header, justify="right")
    table.add_column("videos, and which\ngroup is the worst")

    def add_rows(
        label: str,
        numbers: Mapping[str, Any],
        sign: str = "",
        over_majority: str = "",
        about: str = "",
    ) -> None:
        *others, worst = (_number(numbers[metric]["value"], sign) for metric in SHIFT_METRICS)
        maps = [_number(numbers[metric]["value"], sign) for metric in of_maps]
        table.add_row(escape(label), *others, over_majority, worst, *maps, about, style=None if sign else "bold")
        if bootstrap is not None:
            *others, worst = (_interval(numbers[metric]["interval"], sign) for metric in SHIFT_METRICS)
            maps = [_interval(numbers[metric]["interval"], sign) for metric in of_maps]
            table.add_row(f"{bootstrap['confidence']:.0%} interval", *others, "", worst, *maps)

    for name, of_set in shift["sets"].items():
        about = f"{of_set['num_videos']:,} videos\n{_worst_group(of_set['actors'])}"
        add_rows(name, of_set, over_majority=_over_majority(of_set), about=about)
        if name != first:
            drop = shift["drops"][name]
            add_rows(f"drop from {first}", drop, sign="+", about="paired" if drop["is_paired"] else "")
        table.add_section()
    new_console().print(table)


def _over_majority(of_set: Mapping[str, Any]) -> str:
    accuracy, majority = of_set[ACTOR_ACCURACY]["value"], of_set["actors"]["majority"]
    return _number(None if accuracy is None else accuracy - majority, "+")


def _worst_group(actors: Mapping[str, Any]) -> str:
    worst = actors["worst_group"]
    if worst is None:
        return "-"
    size = f"{worst['num_tubes']} tubes; of {actors['num_groups']} groups"
    left_out = f"{actors['num_groups_left_out']} of < {actors['min_tubes']} tubes left out"
    return f"{escape(worst['action'])}, {escape(worst['scene'])}\n{size}\n{left_out}"


def _number(value: float | None, sign: str) -> str:
    return "-" if value is None else f"{value:{sign}.1f}"


def _interval(ends: tuple[float, float] | list[float] | None, sign: str) -> str:
    return "-" if ends is None else f"{ends[0]:{sign}.1f} to {ends[1]:{sign}.1f}"
