"""The printed table of metrics."""

import json

from stal.engine.report import print_metrics


def test_classes_without_ground_truth_are_left_out_and_counted(tmp_path, capsys):
    values = {"frame_mAP@0.5": 12.346}
    metrics = {
        **values,
        "per_class": {"walk": values, "jump": {"frame_mAP@0.5": None}},
        "protocol": {"name": "voc"},
        "num_videos": 3,
        "split": "test",
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    print_metrics(tmp_path / "metrics.json")
    printed = capsys.readouterr().out
    assert "12.35" in printed
    assert "walk" in printed
    assert "jump" not in printed
    assert "left out: 1 classes" in printed
