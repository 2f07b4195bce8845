import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from stal.metrics.headlines import AVERAGED_THRESHOLDS
from stal.metrics.summary import evaluate
from stal.metrics.video_map import video_map
from stal.structures import Annotations, Detections, Tube, Video

NAMES = ["frame_mAP@0.5", "video_mAP@0.2", "video_mAP@0.5", "video_mAP@0.75", "video_mAP@0.5:0.95"]
BOXES = np.tile(np.array([10, 10, 50, 90], np.float32), (10, 1))
ANNOTATED = Annotations(
    ("run", "jump"), (Video("v", Path("v.avi"), 10, 100, 100, tubes=(Tube(0, np.arange(10), BOXES),)),)
)
PERFECT = Detections(np.arange(10), BOXES, np.zeros(10, np.int64), np.full(10, 0.5))


def test_perfect_predictions_give_100_percent_and_null_where_nothing_is_annotated() -> None:
    metrics = evaluate(ANNOTATED, {"v": PERFECT}, {"v": [Tube(0, np.arange(10), BOXES, score=0.5)]})
    assert {name: metrics[name] for name in NAMES} == dict.fromkeys(NAMES, 100.0)
    assert metrics["per_class"] == {"run": dict.fromkeys(NAMES, 100.0), "jump": dict.fromkeys(NAMES)}
    counts = {name: metrics[name] for name in ("num_videos", "num_frames", "num_detections", "num_tubes")}
    assert counts == {"num_videos": 1, "num_frames": 10, "num_detections": 10, "num_tubes": 1}
    assert metrics["protocol"]["name"] == "voc"
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_the_accuracy_of_actors_stands_beside_the_maps() -> None:
    videos = tuple(replace(ANNOTATED.videos[0], key=f"v{n}", scene="gym") for n in range(16))
    found = {video.key: PERFECT for video in videos[1:]}
    metrics = evaluate(replace(ANNOTATED, videos=videos), found, {}, num_draws=30)
    assert metrics["actor_accuracy"] == metrics["worst_group_accuracy"] == 100 * (15 / 16)
    for name in ("actor_accuracy", "worst_group_accuracy"):
        low, high = metrics["intervals"][name]["interval"]
        assert low < metrics[name] < high
    assert metrics["actors"]["worst_group"] == {"action": "run", "scene": "gym", "num_tubes": 16}
    assert metrics["actors"]["chance"] == 50
    assert metrics["actors"]["majority"] == 100
    assert metrics["actors"]["num_not_found"] == 1
    assert json.loads(json.dumps(metrics, allow_nan=False)).keys() == metrics.keys()


def test_headlines_only_leaves_out_what_is_behind_them() -> None:
    whole, headlines = (evaluate(ANNOTATED, {"v": PERFECT}, {}, headlines_only=only) for only in (False, True))
    assert whole.keys() - headlines.keys() == {"frames", "tubes"}
    assert {name: whole[name] for name in headlines} == headlines


def test_nothing_found_gives_0() -> None:
    metrics = evaluate(ANNOTATED, {}, {})
    assert {name: metrics[name] for name in NAMES} == dict.fromkeys(NAMES, 0.0)


def test_nothing_annotated_gives_null() -> None:
    metrics = evaluate(Annotations(("run",), ()), {}, {})
    assert {name: metrics[name] for name in NAMES} == dict.fromkeys(NAMES)


def test_averaged_thresholds_are_the_nearest_numbers_to_their_decimals() -> None:
    assert AVERAGED_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_the_average_is_over_ten_thresholds() -> None:
    six_tenths = {"v": [Tube(0, np.arange(6), BOXES[:6], score=0.5)]}
    assert evaluate(ANNOTATED, {}, six_tenths)["video_mAP@0.5:0.95"] == 30
    means = [video_map(ANNOTATED.videos, six_tenths, 2, t).mean for t in AVERAGED_THRESHOLDS]
    assert means == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
