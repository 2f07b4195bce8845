from typing import Any

import pytest

from stal.evaluation.report import print_origin, print_protocols, print_summary

VALUES = {"frame_mAP@0.5": 12.346}
SUMMARY: dict[str, Any] = {
    **VALUES,
    "per_class": {"walk": VALUES, "jump": {"frame_mAP@0.5": None}},
    "protocol": {"name": "voc", "hash": "0123abcd"},
    "num_videos": 3,
}


def test_classes_without_ground_truth_are_left_out_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(SUMMARY, "metrics.json")
    printed = capsys.readouterr().out
    assert "12.35" in printed
    assert "walk" in printed
    assert "jump" not in printed
    assert "left out: 1 classes" in printed
    assert "3 videos, protocol voc (0123abcd)" in printed
    assert "interval" not in printed


def test_intervals_stand_below_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    intervals = {"frame_mAP@0.5": {"value": 12.346, "interval": (10.04, 15.06), "std": 1.0}}
    print_summary(SUMMARY | {"intervals": intervals, "bootstrap": {"confidence": 0.95}}, "metrics.json")
    printed = capsys.readouterr().out
    assert "95% interval" in printed
    assert "10.0 to 15.1" in printed


def test_the_accuracy_of_actors_is_said_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    worst = {"action": "walk", "scene": "gym", "num_tubes": 7}
    actors = {"actor_accuracy": 83.3, "worst_group_accuracy": 40.0, "actors": {"majority": 50.0, "worst_group": worst}}
    print_summary(SUMMARY | actors, "metrics.json")
    expected = "actor accuracy 83.30, of the most common class 50.00; worst group (walk, gym, 7 tubes) 40.00"
    assert expected in capsys.readouterr().out
    intervals = {
        name: {"interval": (10.0, 90.0)} for name in ("frame_mAP@0.5", "actor_accuracy", "worst_group_accuracy")
    }
    without_group = {"worst_group_accuracy": None, "actors": {"majority": 50.0, "worst_group": None}}
    more = {"intervals": intervals, "bootstrap": {"confidence": 0.95}}
    print_summary(SUMMARY | actors | without_group | more, "metrics.json")
    assert "actor accuracy 83.30 (10.0 to 90.0), of the most common class 50.00\n" in capsys.readouterr().out


def test_how_well_maps_locate_actors_is_said_below_the_table_with_its_thresholds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    accuracies = {"MaxBoxAccV2-3D": 50.0, "MaxBoxAcc-3D@0.3": 90.0, "MaxBoxAcc-3D@0.5": 50.0, "MaxBoxAcc-3D@0.7": 10.0}
    thresholds = {"0.3": 0.2, "0.5": 0.25, "0.7": 0.4}
    maps = {"thresholds": thresholds, "thresholds_chosen_on": "val", "num_maps": 1200}
    print_summary(SUMMARY | accuracies | {"max_box_acc": maps}, "metrics.json")
    expected = (
        "MaxBoxAccV2-3D 50.00, of 1,200 maps: 90.00 at 0.3 (threshold 0.200), 50.00 at 0.5 (threshold 0.250), "
        "10.00 at 0.7 (threshold 0.400); thresholds chosen on val\n"
    )
    assert expected in capsys.readouterr().out


def test_a_metric_that_a_protocol_does_not_have_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    print_protocols({"voc": SUMMARY, "other": SUMMARY | {"frame_mAP@0.5": None}})
    rows = [line for line in capsys.readouterr().out.splitlines() if "0123abcd" in line]
    assert "12.35" in rows[0]
    assert "-" in rows[1]


def test_what_was_dropped_or_is_missing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    origin = {
        "ground_truth": "gt.json",
        "split": "test",
        "detections": "d.npz",
        "tubes": None,
        "linked_by": "Linker()",
        "half_open": False,
        "dropped": {"det_score: not finite": 1234},
        "num_videos_without_predictions": 2,
    }
    print_origin(origin)
    printed = capsys.readouterr().out
    for text in (
        "gt.json, split test",
        "linked here by Linker()",
        "frames count from 1",
        "dropped 1,234",
        "2 annotated videos",
    ):
        assert text in printed
