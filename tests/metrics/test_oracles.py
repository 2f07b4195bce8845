"""The metrics on real annotations with synthetic detections, against numbers of an independent evaluator."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.data.detection_files import DetectionFile, read_detections
from stal.errors import ShapeError
from stal.metrics.average_precision import mean_average_precision
from stal.metrics.frame_map import frame_map
from stal.metrics.summary import AVERAGED_THRESHOLDS, evaluate
from stal.metrics.video_map import tube_overlaps, video_map
from stal.structures import Detections, Tube, Video

pytestmark = pytest.mark.data

TWICE_ANNOTATED = "CricketBowling/v_CricketBowling_g02_c04"  # two identical tubes: the copy can never be hit
# Cases with degenerate boxes or NaN scores, which the structures refuse.
REFUSED = {
    "f09_zero_area_detection",
    "f10_zero_area_gt_and_detection",
    "f11_inverted_detection",
    "f19_nan_score",
    "t15_zero_area_frames",
}


def oracle(shared: Path, tmp_path: Path, size: str, scores: str) -> DetectionFile:
    """Read an oracle with its tied scores, or with the ones that have no ties."""
    with np.load(shared / f"oracles/oracle_{size}.npz") as file:
        arrays = dict(file)
    for kind in ("det", "tube"):
        arrays[f"{kind}_score"] = arrays[f"{kind}_{scores}"]
    np.savez(tmp_path / "oracle.npz", **arrays)
    return read_detections(tmp_path / "oracle.npz")


def reference(shared: Path, size: str) -> dict[str, Any]:
    return json.loads((shared / "oracles/peers.json").read_text())["sizes"][size]["reference"]


def assert_equals_reference(found: np.ndarray, expected: dict[str, Any], classes: tuple[str, ...]) -> None:
    per_class = [expected["per_class"].get(name, {"npos": 0}) for name in classes]
    in_percent = [entry["envelope"] if entry["npos"] else np.nan for entry in per_class]
    np.testing.assert_allclose(100 * found, in_percent, rtol=0, atol=1e-9)


@pytest.mark.parametrize("scores", ["score_unique", "score"])
@pytest.mark.parametrize("size", ["small", "medium"])
def test_every_class_equals_the_reference(shared: Path, tmp_path: Path, size: str, scores: str) -> None:
    file, expected = oracle(shared, tmp_path, size, scores), reference(shared, size)
    videos, classes = file.annotations.videos, file.annotations.classes
    boxes = frame_map(videos, file.detections, len(classes))
    assert_equals_reference(boxes.per_class, expected["frame@0.50"]["off0/any/all"], classes)
    overlaps = tube_overlaps(videos, file.tubes, len(classes))
    for threshold in (0.2, *AVERAGED_THRESHOLDS):
        of_threshold = expected["video"]["hull/off0/any"][f"{threshold:.2f}"]
        assert_equals_reference(
            mean_average_precision(overlaps, len(classes), threshold).per_class, of_threshold, classes
        )

    metrics = evaluate(*file)
    assert metrics["frame_mAP@0.5"] == pytest.approx(
        expected["frame@0.50"]["off0/any/all"]["mean"]["envelope"], abs=1e-9
    )
    averaged = expected["video"]["hull/off0/any"]["0.50:0.95"]["envelope"]
    assert metrics["video_mAP@0.5:0.95"] == pytest.approx(averaged, abs=1e-9)


@pytest.mark.parametrize("size", ["small", "medium"])
def test_ground_truth_as_predictions_gives_100(shared: Path, size: str) -> None:
    annotations = read_detections(shared / f"oracles/oracle_{size}.npz").annotations
    videos = tuple(video for video in annotations.videos if video.key != TWICE_ANNOTATED)
    tubes = {video.key: [replace(tube, score=0.5) for tube in video.tubes] for video in videos}
    boxes = {
        key: Detections.concatenate(
            [Detections(t.frames, t.boxes, np.full(len(t), t.label), np.full(len(t), 0.5)) for t in of_video]
        )
        for key, of_video in tubes.items()
    }
    metrics = evaluate(replace(annotations, videos=videos), boxes, tubes)
    assert {value for name, value in metrics.items() if "mAP" in name} == {100.0}


def minicase(case: dict[str, Any]) -> np.ndarray:
    """Return the AP of each class in one hand-worked case."""
    keys = [f"v{i}" for i in range(1 + max(row[0] for row in case["gt"] + case["det"]))]
    truth: dict[str, list[Tube]] = {key: [] for key in keys}
    if case["kind"] == "frame":
        for video, frame, label, *box in case["gt"]:
            of_video = truth[keys[video]]
            of_video.append(Tube(label, np.array([frame - 1]), np.array([box], np.float32), id=len(of_video)))
        found = {
            key: Detections(
                np.array([row[1] - 1 for row in case["det"] if keys[row[0]] == key], np.int64),
                np.array([row[4:] for row in case["det"] if keys[row[0]] == key], np.float32).reshape(-1, 4),
                np.array([row[2] for row in case["det"] if keys[row[0]] == key], np.int64),
                np.array([float(row[3]) for row in case["det"] if keys[row[0]] == key]),
            )
            for key in keys
        }
        videos = [Video(key, Path(key), 100, 240, 320, tubes=tuple(truth[key])) for key in keys]
        return frame_map(videos, found, case["num_classes"], case["thr"]).per_class

    tubes: dict[str, list[Tube]] = {key: [] for key in keys}
    for video, label, first_frame, box, length in case["gt"]:
        truth[keys[video]].append(minicase_tube(label, first_frame, box, length, len(truth[keys[video]]), None))
    for video, label, score, first_frame, box, length in case["det"]:
        tubes[keys[video]].append(minicase_tube(label, first_frame, box, length, len(tubes[keys[video]]), score))
    videos = [Video(key, Path(key), 100, 240, 320, tubes=tuple(truth[key])) for key in keys]
    return video_map(videos, tubes, case["num_classes"], case["thr"]).per_class


def minicase_tube(label: int, first_frame: int, box: list[Any], length: int, id: int, score: float | None) -> Tube:
    boxes = np.broadcast_to(np.array(box, np.float32), (length, 4))
    return Tube(label, np.arange(first_frame - 1, first_frame - 1 + length), boxes, id=id, score=score)


def test_hand_worked_cases(shared: Path) -> None:
    cases = json.loads((shared / "oracles/minicases.json").read_text())["cases"]
    cases = [case for case in cases if "voc" in case["expect"]]
    assert len(cases) == 36
    for case in cases:
        if case["name"] in REFUSED:
            with pytest.raises(ShapeError):
                minicase(case)
            continue
        expected = case["expect"]["voc"]
        fractions = [expected[str(label)] for label in range(case["num_classes"])]
        values = [np.nan if text is None else np.divide(*map(int, f"{text}/1".split("/")[:2])) for text in fractions]
        np.testing.assert_allclose(minicase(case), values, rtol=0, atol=1e-12, err_msg=case["name"])
