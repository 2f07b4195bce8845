from typing import Any

import pytest

from stal.evaluation.scene_shift_table import print_scene_shift
from stal.metrics.scene_shift import SHIFT_METRICS


def numbers(*values: float | None, intervals: bool) -> dict[str, Any]:
    return {
        name: {"value": value, "interval": (value - 5, value + 5) if intervals and value is not None else None}
        for name, value in zip(SHIFT_METRICS, values, strict=True)
    }


def shift(*, intervals: bool = True, worst: dict[str, Any] | None = None, paired: bool = False) -> dict[str, Any]:
    actors = {
        "chance": 9.1,
        "majority": 11.1,
        "worst_group": worst,
        "num_groups": 9,
        "num_groups_left_out": 3,
        "min_tubes": 5,
    }
    return {
        "first": "iid",
        "sets": {
            "iid": numbers(72.25, 67.5, 83.0, 40.0, intervals=intervals) | {"num_videos": 1200, "actors": actors},
            "scene_only": numbers(10.0, None, 12.1, 20.0, intervals=intervals) | {"num_videos": 9, "actors": actors},
        },
        "drops": {"scene_only": numbers(62.25, None, 70.9, 20.0, intervals=intervals) | {"is_paired": paired}},
        "protocol": {"name": "voc", "hash": "0123abcd"},
        "bootstrap": {"confidence": 0.95} if intervals else None,
    }


def rows(printed: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line.startswith("│")]


def test_sets_stand_below_each_other_with_intervals_and_drops(capsys: pytest.CaptureFixture[str]) -> None:
    print_scene_shift(shift(worst={"action": "walk", "scene": "gym", "num_tubes": 7}))
    printed = rows(capsys.readouterr().out)
    numbers_of = {row[0]: row[1:] for row in printed if row[0] and "interval" not in row[0]}
    assert list(numbers_of) == ["iid", "scene_only", "drop from iid"]
    assert numbers_of["iid"][:5] == ["72.2", "67.5", "83.0", "+71.9", "40.0"]
    about = [row[6] for row in printed[:4]]
    assert about == ["1,200 videos", "walk, gym", "7 tubes; of 9 groups", "3 of < 5 tubes left out"]
    assert numbers_of["scene_only"][:5] == ["10.0", "-", "12.1", "+1.0", "20.0"]
    assert numbers_of["drop from iid"][:5] == ["+62.2", "-", "+70.9", "", "+20.0"]
    intervals = [row[1:4] for row in printed if row[0] == "95% interval"]
    assert intervals[0] == ["67.2 to 77.2", "62.5 to 72.5", "78.0 to 88.0"]
    assert intervals[2] == ["+57.2 to +67.2", "-", "+65.9 to +75.9"]


def test_models_with_maps_have_a_column_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    with_maps = shift()
    for of_set in (*with_maps["sets"].values(), *with_maps["drops"].values()):
        of_set["MaxBoxAccV2-3D"] = {"value": 33.3, "interval": (30.0, 40.0)}
    print_scene_shift(with_maps)
    printed = {row[0]: row[1:] for row in rows(capsys.readouterr().out) if row[0]}
    assert [printed[name][5] for name in ("iid", "drop from iid")] == ["33.3", "+33.3"]


def test_without_draws_there_are_no_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    print_scene_shift(shift(intervals=False))
    printed = rows(capsys.readouterr().out)
    assert [row[0] for row in printed if row[0]][-3:] == ["iid", "scene_only", "drop from iid"]
    assert [row[6] for row in printed if row[6]] == ["1,200 videos", "-", "9 videos", "-"]


def test_a_drop_says_that_it_is_paired(capsys: pytest.CaptureFixture[str]) -> None:
    print_scene_shift(shift(paired=True))
    assert [row[6] for row in rows(capsys.readouterr().out) if row[0] == "drop from iid"] == ["paired"]
