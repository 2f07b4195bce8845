"""MaxBoxAccV2-3D against a brute force, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.metrics.max_box_acc import (
    DELTAS,
    MAX_BOX_ACC,
    THRESHOLDS,
    BoxThresholds,
    MapOverlaps,
    best_overlaps,
    describe_max_box_accuracy,
    max_box_accuracy,
)
from stal.ops.components import find_components
from stal.ops.tubes import tube_iou
from stal.structures import Tube

ONE_SET = np.ones((3, 1))


def as_tube(boxes: np.ndarray) -> Tube:
    frames = np.flatnonzero(boxes[:, 2] > boxes[:, 0])
    return Tube(0, frames, boxes[frames])


def brute_force(values: np.ndarray, tubes: np.ndarray) -> list[float]:
    best: list[float] = []
    for number, threshold in enumerate(THRESHOLDS):
        if number and ((values > threshold) == (values > THRESHOLDS[number - 1])).all():
            best.append(best[-1])
            continue
        found = find_components(values, float(threshold)).boxes
        best.append(max((tube_iou(as_tube(a), as_tube(b)) for a in found for b in tubes), default=0.0))
    return best


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), num_tubes=st.integers(0, 2))
def test_overlaps_are_those_of_every_component_with_every_tube(seed, num_tubes):
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 6, (2, 3, 4, 5)) / 5
    corners = generator.integers(0, 4, (2, num_tubes, 3, 2))
    boxes = np.concatenate([corners, corners + generator.integers(1, 4, corners.shape)], axis=-1).astype(np.float32)
    boxes[:, :, 1] *= generator.integers(0, 2)  # a gap
    best = best_overlaps(values, list(boxes))
    for of_map, one, tubes in zip(best, values, boxes, strict=True):
        np.testing.assert_allclose(of_map, brute_force(one, tubes), rtol=1e-6)


def test_a_map_that_is_its_actor_overlaps_it_wholly_at_every_threshold():
    values = np.zeros((1, 4, 6, 6))
    values[0, 1:3, 2:5, 1:4] = 1
    tube = np.zeros((1, 4, 4), np.float32)
    tube[0, 1:3] = [1, 2, 4, 5]
    assert (best_overlaps(values, [tube]) == 1).all()


def overlaps_of(*maps: tuple[int, dict[float, float]]) -> MapOverlaps:
    """Maps of videos that overlap their actor as much as said from a threshold on, and before by nothing."""
    rows = np.zeros((len(maps), len(THRESHOLDS)), np.float32)
    for row, (_, at) in zip(rows, maps, strict=True):
        for threshold, overlap in at.items():
            row[round(threshold * 1000) :] = overlap
    return MapOverlaps(np.array([video for video, _ in maps], np.int64), rows)


def test_each_delta_has_the_threshold_that_is_the_best_for_it():
    maps = overlaps_of((0, {0.2: 0.3, 0.4: 0.0}), (0, {0.3: 0.8}), (2, {0.5: 0.6, 0.6: 0.1}))
    accuracy = max_box_accuracy(maps, ONE_SET)
    found = {name: values[0] for name, values in accuracy.accuracies.items()}
    thirds = {"MaxBoxAcc-3D@0.3": 2, "MaxBoxAcc-3D@0.5": 2, "MaxBoxAcc-3D@0.7": 1}
    assert found == pytest.approx({MAX_BOX_ACC: 5 / 9, **{name: count / 3 for name, count in thirds.items()}})
    # of equally good ones the lowest: at 0.3 both of video 0 are found, from 0.5 on that of video 2 is
    assert accuracy.thresholds == BoxThresholds({0.3: 0.3, 0.5: 0.5, 0.7: 0.3}, None)
    assert describe_max_box_accuracy(accuracy)["thresholds_chosen_on"] == "the same set"


def test_fixed_thresholds_are_kept_although_others_would_be_better():
    maps = overlaps_of((0, {0.2: 0.9}), (1, {0.6: 0.9}))
    fixed = BoxThresholds(dict.fromkeys(DELTAS, 0.4), "val")
    accuracy = max_box_accuracy(maps, ONE_SET, fixed)
    assert accuracy.accuracies[MAX_BOX_ACC].tolist() == [0.5]
    assert max_box_accuracy(maps, ONE_SET).accuracies[MAX_BOX_ACC].tolist() == [1.0]
    assert describe_max_box_accuracy(accuracy) == {
        "thresholds": {"0.3": 0.4, "0.5": 0.4, "0.7": 0.4},
        "thresholds_chosen_on": "val",
        "num_maps": 2,
    }


def test_a_video_counts_as_often_as_it_is_drawn():
    maps = overlaps_of((0, {0.0: 1.0}), (1, {}), (1, {}))
    counts = np.array([[1.0, 2.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 3.0]])
    np.testing.assert_allclose(max_box_accuracy(maps, counts).accuracies[MAX_BOX_ACC], [1 / 3, 2 / 4, np.nan])


def test_without_maps_there_is_no_accuracy():
    accuracy = max_box_accuracy(overlaps_of(), ONE_SET)
    assert np.isnan(accuracy.accuracies[MAX_BOX_ACC]).all()
    assert accuracy.num_maps == 0


@pytest.mark.parametrize("overlap", DELTAS)
def test_an_overlap_of_delta_is_enough(overlap):
    accuracy = max_box_accuracy(overlaps_of((0, {0.0: overlap})), ONE_SET)
    assert accuracy.accuracies[f"MaxBoxAcc-3D@{overlap}"].tolist() == [1.0]
