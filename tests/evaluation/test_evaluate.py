import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stal.data.detection_files import write_detections
from stal.data.formats.tubes_json import write_tubes_json
from stal.errors import ConfigError, ShapeError
from stal.evaluation.evaluate import evaluate_files
from stal.linking.linker import LINKERS
from stal.metrics.protocol import PROTOCOLS
from stal.structures import Annotations, Detections


def test_numbers_are_those_of_hand_work(dump: Path, tmp_path: Path) -> None:
    metrics = evaluate_files(dump, out=tmp_path / "new" / "metrics.json", num_draws=20)
    # run: 20 right boxes above 20 wrong ones; jump: 20 of 40 found, above 20 wrong ones; swim: not annotated
    assert metrics["frame_mAP@0.5"] == pytest.approx(75)
    assert metrics["video_mAP@0.5"] == pytest.approx(50)
    assert metrics["per_class"]["swim"]["frame_mAP@0.5"] is None
    assert metrics["protocol"]["name"] == "voc"
    assert metrics["frames"]["error_areas"]["counts"]["classification"] == 20
    assert metrics["frames"]["confusion"]["jump"] == {"taken_for": {"run": 20, "jump": 20, "swim": 0}, "missed": 0}
    assert metrics["tubes"]["recall"]["mean"] == pytest.approx(50)
    assert metrics["actor_accuracy"] == pytest.approx(200 / 3)  # one of the two that jump is taken for one who runs
    accuracies = {"actor_accuracy", "worst_group_accuracy"}
    assert set(metrics["intervals"]) == {name for name in metrics if "mAP" in name} | accuracies
    assert json.loads((tmp_path / "new" / "metrics.json").read_text()) == json.loads(json.dumps(metrics))


def test_detections_without_tubes_are_linked(untubed: Path) -> None:
    metrics = evaluate_files(untubed, num_draws=0)
    assert metrics["origin"]["tubes"] is None
    assert metrics["origin"]["linked_by"] == repr(LINKERS["default"])
    assert metrics["num_tubes"] == 4
    assert metrics["video_mAP@0.5"] == pytest.approx(75)
    assert "intervals" not in metrics


def test_a_linker_replaces_the_tubes_of_the_file(dump: Path) -> None:
    metrics = evaluate_files(dump, link="online", trim="none", num_draws=0)
    assert metrics["num_tubes"] == 4
    assert "KeepWhole" in metrics["origin"]["linked_by"]


def test_all_protocols_give_a_row_each_from_one_file(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = evaluate_files(dump, protocol="all", num_draws=0)
    assert list(result["protocols"]) == list(PROTOCOLS)
    assert result["protocols"]["retina3d"]["frame_mAP@0.5"] == pytest.approx(50)  # swim counts as 0
    assert result["protocols"]["yowov3"]["video_mAP@0.5"] is None
    printed = capsys.readouterr().out
    assert all(protocol.hash in printed for protocol in PROTOCOLS.values())


@pytest.mark.parametrize("protocol", ["voc", "yowov3", "all"])
def test_plots_are_written(dump: Path, tmp_path: Path, protocol: str) -> None:
    evaluate_files(dump, protocol=protocol, plots=tmp_path / "plots", num_draws=0)
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    of_frames = {
        f"frames_{n}.png" for n in ("calibration", "confusion", "error_budget", "fix_gains", "precision_recall")
    }
    of_tubes = {name.replace("frames", "tubes") for name in of_frames}
    assert (
        names
        == {
            "voc": {"per_class.png", *of_frames, *of_tubes},
            "yowov3": {"per_class.png", *of_frames},
            "all": {"protocols.png"},
        }[protocol]
    )


def test_ground_truth_may_come_from_another_file(
    dump: Path, untubed: Path, annotations: Annotations, tmp_path: Path
) -> None:
    videos = tuple(replace(video, split="test") for video in annotations.videos)
    write_tubes_json(replace(annotations, videos=videos), tmp_path / "gt.json")
    expected = evaluate_files(dump, num_draws=0)
    found = evaluate_files(untubed, ground_truth=tmp_path / "gt.json", tubes=dump, num_draws=0)
    assert {k: v for k, v in found.items() if k != "origin"} == {k: v for k, v in expected.items() if k != "origin"}


def test_several_files_are_the_splits_of_a_data_set(
    dump: Path, untubed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = evaluate_files(dump, num_draws=0), evaluate_files(untubed, num_draws=0)
    both = evaluate_files([dump, untubed], num_draws=0, plots=tmp_path / "plots")
    assert both["video_mAP@0.5"] == pytest.approx((one["video_mAP@0.5"] + other["video_mAP@0.5"]) / 2)
    assert both["per_class"]["swim"]["frame_mAP@0.5"] is None
    assert both["num_videos"] == 6
    assert [split["num_tubes"] for split in both["splits"]] == [2, 4]
    assert "mean over 2 splits" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"0", "1"}


def test_no_detections_give_0(dump: Path, tmp_path: Path) -> None:
    with np.load(dump) as arrays:
        empty = {n: arrays[n][:0] if n.startswith("det_") else arrays[n] for n in arrays.files if "tube" not in n}
    np.savez(tmp_path / "empty.npz", **empty)
    metrics = evaluate_files(tmp_path / "empty.npz", num_draws=10, plots=tmp_path / "plots")
    assert {value for name, value in metrics.items() if "mAP" in name} == {0.0}
    assert metrics["origin"]["num_videos_without_predictions"] == 3


@pytest.mark.parametrize("link", LINKERS)
def test_ground_truth_as_detections_is_perfect_with_every_linker(
    annotations: Annotations, tmp_path: Path, link: str
) -> None:
    perfect = {
        video.key: Detections.concatenate(
            [Detections(t.frames, t.boxes, np.full(len(t), t.label), np.ones(len(t))) for t in video.tubes]
        )
        for video in annotations.videos
    }
    write_detections(tmp_path / "gt.npz", annotations, perfect, {})
    by_protocol = evaluate_files(tmp_path / "gt.npz", link=link, protocol="all", num_draws=0)["protocols"]
    for name, metrics in by_protocol.items():
        classes = 3 if metrics["protocol"]["frame"]["absent_classes"] == "zero" else 2
        assert metrics["frame_mAP@0.5"] == pytest.approx(200 / classes)
        scores = [metrics[metric] for metric in metrics if "video_mAP" in metric]
        if PROTOCOLS[name].video is None:
            assert scores == [None] * 4
        else:  # yowo counts the class without ground truth as 0, and 1e-5 more tubes
            assert scores == pytest.approx([200 / (3 if name == "yowo" else classes)] * 4, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocol": "vox"}, "protocol 'vox' is not known; known are voc, act"),
        ({"link": "on"}, "linker 'on' is not known; known are default"),
        ({"link": "online", "trim": "some"}, "trimmer 'some' is not known"),
        ({"trim": "none"}, "name a linker with --link"),
        ({"link": "online", "tubes": "tubes.npz"}, "leave one of them out"),
        ({"tubes": ["a.npz", "b.npz"]}, "1 files of detections, but 2 tubes"),
        ({"split": ["1", "2"]}, "1 files of detections, but 2 splits"),
    ],
)
def test_settings_that_cannot_work_are_refused(dump: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate_files(dump, **settings)


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="name at least one"):
        evaluate_files([])


def test_frame_map_at_any_threshold(dump: Path) -> None:
    metrics = evaluate_files(dump, frame_thresholds=[0.5, 0.9, 0.95], num_draws=0)
    assert list(metrics)[:3] == ["frame_mAP@0.5", "frame_mAP@0.9", "frame_mAP@0.95"]
    # actors are found 2 and 3 pixels aside: (38 x 78) / (2 x 3200 - 38 x 78) = 0.86
    assert (metrics["frame_mAP@0.5"], metrics["frame_mAP@0.9"]) == (pytest.approx(75), 0)
    with pytest.raises(ConfigError, match="IoU threshold 50"):
        evaluate_files(dump, frame_thresholds=[50.0])


def test_the_mean_over_splits_has_intervals(dump: Path, untubed: Path) -> None:
    both = evaluate_files([dump, untubed], num_draws=50)
    low, high = both["intervals"]["video_mAP@0.5"]["interval"]
    assert low < both["video_mAP@0.5"] == both["intervals"]["video_mAP@0.5"]["value"] < high
    widest = max(np.ptp(split["intervals"]["video_mAP@0.5"]["interval"]) for split in both["splits"])
    assert high - low <= widest  # the mean of two varies less


def test_every_class_has_an_interval(dump: Path) -> None:
    metrics = evaluate_files(dump, num_draws=50)
    assert metrics["per_class_intervals"]["swim"]["frame_mAP@0.5"] is None
    low, high = metrics["per_class_intervals"]["jump"]["frame_mAP@0.5"]
    assert low < metrics["per_class"]["jump"]["frame_mAP@0.5"] < high


@pytest.mark.parametrize("name", ["out", "plots"])
def test_where_nothing_can_be_written_is_said_before_anything_is_read(dump: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"dump\.npz is a file"):
        evaluate_files("missing.npz", **{name: dump / "below"})


def test_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        evaluate_files("missing.npz", out=tmp_path)


def test_scores_that_are_no_probabilities_are_not_linked(untubed: Path, dump: Path, tmp_path: Path) -> None:
    with np.load(untubed) as arrays:
        logits = {**arrays, "det_score": np.log(arrays["det_score"])}
    np.savez(tmp_path / "logits.npz", **logits)
    with pytest.raises(ShapeError, match=r"video a: 40 of 40 detections have scores outside 0 to 1, such as -0\.1"):
        evaluate_files(tmp_path / "logits.npz", num_draws=0)
    with_tubes = evaluate_files(tmp_path / "logits.npz", tubes=dump, num_draws=0)
    assert with_tubes["frame_mAP@0.5"] == pytest.approx(75)


def test_without_sizes_the_protocol_that_scales_boxes_is_left_out(dump: Path, tmp_path: Path) -> None:
    with np.load(dump) as arrays:
        np.savez(tmp_path / "sizeless.npz", **{name: arrays[name] for name in arrays.files if name != "hw"})
    by_protocol = evaluate_files(tmp_path / "sizeless.npz", protocol="all", num_draws=0)["protocols"]
    assert set(PROTOCOLS) - set(by_protocol) == {"retina3d"}
    with_sizes = evaluate_files(dump, protocol="all", num_draws=0)["protocols"]
    assert all(by_protocol[name]["video_mAP@0.5"] == with_sizes[name]["video_mAP@0.5"] for name in by_protocol)
    with pytest.raises(ConfigError, match="size of the videos is not known"):
        evaluate_files(tmp_path / "sizeless.npz", protocol="retina3d")


def test_plots_are_of_the_thresholds_that_were_chosen(dump: Path, tmp_path: Path) -> None:
    for protocol in ("voc", "all"):
        folder = tmp_path / protocol
        metrics = evaluate_files(
            dump, protocol=protocol, frame_thresholds=[0.75], video_thresholds=[0.1], num_draws=0, plots=folder
        )
        numbers = metrics["protocols"]["voc"] if protocol == "all" else metrics
        assert [name for name in numbers if "mAP" in name] == ["frame_mAP@0.75", "video_mAP@0.1", "video_mAP@0.5:0.95"]
        assert list(folder.iterdir())


def test_without_a_linker_there_is_no_video_map(untubed: Path, tmp_path: Path) -> None:
    with np.load(untubed) as arrays:
        np.savez(tmp_path / "logits.npz", **{**arrays, "det_score": np.log(arrays["det_score"])})
    for settings in ({"link": "none"}, {"protocol": "tuber"}):
        metrics = evaluate_files(tmp_path / "logits.npz", num_draws=0, **settings)
        assert metrics["frame_mAP@0.5"] == pytest.approx(75)
        assert metrics["video_mAP@0.5"] is None
        assert "tubes" not in metrics
        assert metrics["origin"]["linked_by"] is None


def test_names_are_printed_as_they_are(dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(dump) as arrays:
        np.savez(tmp_path / "a[red].npz", **{**arrays, "labels": np.array(["run[/fast]", "[bold]jump", "swim"])})
    evaluate_files(tmp_path / "a[red].npz", num_draws=0)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("a[red].npz", "run[/fast]", "[bold]jump"))


def test_splits_are_drawn_from_by_themselves(dump: Path) -> None:
    both = evaluate_files([dump, dump], num_draws=200)
    first, second = (split["intervals"]["frame_mAP@0.5"]["std"] for split in both["splits"])
    assert first != second
    assert both["intervals"]["frame_mAP@0.5"]["std"] < min(first, second)
    assert both["bootstrap"] == {"num_draws": 200, "seed": 0, "confidence": 0.95}
