import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from stal.metrics.bootstrap import estimate_drop
from stal.metrics.max_box_acc import MAX_BOX_ACC, THRESHOLDS, MapOverlaps, max_box_accuracy
from stal.metrics.protocol import TUBER, VOC, Protocol
from stal.metrics.resampling import draw_videos
from stal.metrics.scene_shift import SHIFT_METRICS, scene_shift
from stal.metrics.summary import Evaluation, evaluate_tables
from stal.metrics.tables import make_tables
from stal.structures import Detections, Tube, Video

BOXES = np.tile(np.array([10, 10, 50, 90], np.float32), (20, 1))
FRAMES = np.arange(20)
CLASSES = ("run", "jump")


def evaluation(
    num_right: int, num_wrong: int, *, num_draws: int = 50, protocol: Protocol = VOC, scene: str = "gym"
) -> Evaluation:
    """One actor in every video, found with his own action or with the other one."""
    videos, detections, tubes = [], {}, {}
    for number in range(num_right + num_wrong):
        tube = Tube(number % 2, FRAMES, BOXES)
        label = tube.label if number < num_right else 1 - tube.label
        score = 1 / (1 + number)
        videos.append(Video(f"v{number}", Path("v"), 20, 100, 100, tubes=(tube,), scene=scene))
        detections[f"v{number}"] = Detections(FRAMES, BOXES, np.full(20, label), np.full(20, score))
        tubes[f"v{number}"] = [replace(tube, label=label, score=score)]
    tables = make_tables(videos, 2, detections=detections, tubes=tubes)
    return evaluate_tables(tables, CLASSES, protocol, draw_videos(len(videos), num_draws, 0), headlines_only=True)


def test_sets_of_models_with_maps_are_compared_by_these_too() -> None:
    sets = {}
    for name, found in (("iid", 1.0), ("shifted", 0.4)):
        overlaps = np.full((4, len(THRESHOLDS)), found, np.float32)
        accuracy = max_box_accuracy(MapOverlaps(np.arange(4), overlaps), draw_videos(4, 50, 0))
        sets[name] = replace(evaluation(2, 2), maps=accuracy)
    shift = scene_shift(sets)
    assert shift["sets"]["shifted"][MAX_BOX_ACC]["value"] == pytest.approx(100 / 3)
    assert shift["drops"]["shifted"][MAX_BOX_ACC]["value"] == pytest.approx(200 / 3)
    assert MAX_BOX_ACC not in scene_shift({**sets, "shifted": evaluation(2, 2)})["sets"]["iid"]


def test_a_drop_is_the_first_set_less_this_one() -> None:
    sets = {"iid": evaluation(36, 4), "shifted": evaluation(12, 28), "anti": evaluation(0, 40)}
    shift = scene_shift(sets)
    assert shift["first"] == "iid"
    assert list(shift["sets"]) == ["iid", "shifted", "anti"]
    assert list(shift["drops"]) == ["shifted", "anti"]
    for name, drops in shift["drops"].items():
        for metric in SHIFT_METRICS:
            values = [shift["sets"][of_set][metric]["value"] for of_set in ("iid", name)]
            assert drops[metric]["value"] == pytest.approx(values[0] - values[1])
            low, high = drops[metric]["interval"]
            assert low <= drops[metric]["value"] <= high
    assert shift["sets"]["iid"]["actor_accuracy"]["value"] == pytest.approx(90)
    assert shift["drops"]["shifted"]["actor_accuracy"]["value"] == pytest.approx(60)
    assert shift["drops"]["anti"]["worst_group_accuracy"]["value"] == pytest.approx(90)
    assert shift["drops"]["shifted"]["frame_mAP@0.5"]["interval"][0] > 0


def test_a_set_has_the_numbers_of_its_own_evaluation() -> None:
    of_set = evaluation(36, 4)
    shift = scene_shift({"iid": of_set, "shifted": evaluation(12, 28)})
    intervals = of_set.summary["intervals"]
    assert {metric: shift["sets"]["iid"][metric] for metric in SHIFT_METRICS} == {
        m: intervals[m] for m in SHIFT_METRICS
    }
    assert shift["sets"]["iid"]["num_videos"] == 40
    assert shift["sets"]["iid"]["actors"]["chance"] == 50


def test_what_is_not_defined_is_null_and_all_can_be_written() -> None:
    sets = {name: evaluation(3, 1, num_draws=0, protocol=TUBER) for name in ("iid", "shifted")}
    shift = scene_shift(sets)
    nothing = {"value": None, "interval": None, "std": None}
    assert shift["drops"]["shifted"]["video_mAP@0.5"] == nothing
    assert shift["drops"]["shifted"]["worst_group_accuracy"] == nothing
    assert shift["drops"]["shifted"]["actor_accuracy"] == nothing | {"value": 0}
    assert shift["bootstrap"] is None
    assert json.loads(json.dumps(shift, allow_nan=False)) == shift


def test_the_worst_groups_of_other_groups_are_not_compared() -> None:
    sets = {"iid": evaluation(36, 4), "beach": evaluation(12, 28, scene="beach"), "few": evaluation(12, 4)}
    shift = scene_shift(sets)
    assert [shift["sets"][name]["worst_group_accuracy"]["value"] for name in sets] == [90, 30, None]
    for drops in shift["drops"].values():
        assert drops["worst_group_accuracy"] == {"value": None, "interval": None, "std": None}
        assert drops["actor_accuracy"]["interval"] is not None


@pytest.mark.parametrize(("num_right", "num_draws", "paired"), [(5, 50, True), (6, 50, False), (5, 40, False)])
def test_sets_of_the_same_videos_are_drawn_from_alike(num_right: int, num_draws: int, paired: bool) -> None:
    first, second = evaluation(15, 5), evaluation(num_right, 15, num_draws=num_draws)
    drops = scene_shift({"iid": first, "swap": second})["drops"]["swap"]
    assert drops["is_paired"] == paired
    metric = "actor_accuracy"
    expected = estimate_drop(first.draws[metric], second.draws[metric], paired=paired)
    assert drops[metric] == asdict(expected)
    assert drops["frame_mAP@0.5"]["interval"] is not None


def test_videos_in_another_order_are_no_pairs() -> None:
    first = evaluation(15, 5)
    turned = replace(first, video_keys=first.video_keys[::-1])
    unknown = replace(first, video_keys=None)
    for one, other in ((first, turned), (unknown, unknown)):
        assert not scene_shift({"iid": one, "swap": other})["drops"]["swap"]["is_paired"]
