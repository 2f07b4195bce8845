"""The gains of fixing errors against plain loops after TIDE, and cases worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.errors import ConfigError
from stal.metrics.average_precision import RankedHits, class_average_precision, mean_average_precision
from stal.metrics.error_budget import ERRORS
from stal.metrics.overlaps import OverlapTable, tube_overlaps
from stal.metrics.protocol import VOC, Rules
from stal.metrics.tide import FALSE_NEGATIVES, FALSE_POSITIVES, fix_gains

NUM_CLASSES = 3
RULES = st.builds(
    Rules,
    matching=st.sampled_from(["best_of_all", "best_of_free"]),
    threshold=st.sampled_from(["at_least", "above"]),
    area=st.sampled_from(["envelope", "trapezoid", "envelope_trapezoid", "eleven_points"]),
    absent_classes=st.sampled_from(["left_out", "zero"]),
)
HERE, LATER, ELSEWHERE = (0, 0), (0, 1), (1, 0)  # two frames of a video and one of another


def plain_error(d: int, table: OverlapTable, rules: Rules, threshold: float) -> tuple[str, int]:
    """The error of a detection that is no hit, and the ground truth that it is meant for or -1, test after test."""
    pairs = [p for p in range(len(table.pair_iou)) if table.pair_detection[p] == d]
    own = [p for p in pairs if table.truth_labels[table.pair_truth[p]] == table.labels[d]]
    others = [p for p in pairs if p not in own]
    spatial = table.pair_spatial_iou
    together = [p for p in pairs if spatial is None or not math.isnan(spatial[p])]
    in_video = ((table.truth_videos == table.videos[d]) & (table.truth_labels == table.labels[d])).any()

    def enough(p: int) -> bool:
        iou = table.pair_iou[p]
        return bool(iou > threshold if rules.threshold == "above" else iou >= threshold)

    if not together and in_video:
        return "time", -1
    if not pairs:
        return "background", -1
    if own:
        best = max(own, key=lambda p: table.pair_iou[p])
        if table.pair_iou[best] >= 0.1 and not enough(best):
            only_time = spatial is not None and spatial[best] >= math.sqrt(threshold)
            return "time" if only_time else "localization", int(table.pair_truth[best])
    if others:
        best = max(others, key=lambda p: table.pair_iou[p])
        if enough(best):
            return "classification", int(table.pair_truth[best])
    if any(enough(p) for p in own):
        return "duplicate", -1
    return "background" if max(table.pair_iou[p] for p in pairs) <= 0.1 else "other", -1


def plain_average_precisions(detections: list[tuple[int, bool]], truth: list[int], rules: Rules) -> np.ndarray:
    """AP of each class of ranked detections (label, hit), given the labels of the ground truth."""
    result = []
    for label in range(NUM_CLASSES):
        hits = np.array([hit for label_, hit in detections if label_ == label], bool)
        result.append(class_average_precision(RankedHits(np.arange(len(hits)), hits, truth.count(label)), rules))
    return np.array(result)


def plain_gains(table: OverlapTable, matched: list[int], rules: Rules, threshold: float) -> dict[str, np.ndarray]:
    ranking = sorted(range(len(matched)), key=lambda d: -table.scores[d])
    labels, truth = table.labels.tolist(), table.truth_labels.tolist()
    errors = {d: plain_error(d, table, rules, threshold) for d in ranking if matched[d] == -1}
    fixers: dict[int, int] = {}
    for d, (_, target) in errors.items():  # surest first
        if target != -1 and target not in matched:
            fixers.setdefault(target, d)

    def scored(fixed: str | None, truth: list[int]) -> np.ndarray:
        detections = []
        for d in ranking:
            if matched[d] != -1 or errors[d][0] != fixed:
                detections.append((labels[d], matched[d] != -1))
            elif fixers.get(errors[d][1]) == d:
                detections.append((truth_labels[errors[d][1]], True))
        return plain_average_precisions(detections, truth, rules)

    truth_labels = truth
    found = [label for g, label in enumerate(truth) if g in matched]
    findable = [label for g, label in enumerate(truth) if g in matched or g in fixers]
    hits = [(labels[d], True) for d in ranking if matched[d] != -1]
    after = {name: scored(name, truth) for name in ERRORS if name != "missed"}
    after["missed"] = scored(None, findable)
    after[FALSE_POSITIVES] = plain_average_precisions(hits, truth, rules)
    after[FALSE_NEGATIVES] = scored(None, found)
    before = scored(None, truth)
    return {name: np.where(np.isnan(ap), before, ap) - before for name, ap in after.items()}


@given(data=st.data(), rules=RULES, threshold=st.sampled_from([0.2, 0.5, 0.6, 1.0]))
def test_gains_equal_plain_loops(
    overlap_tables: st.SearchStrategy[OverlapTable],
    plain_match: Callable[..., list[int]],
    data: st.DataObject,
    rules: Rules,
    threshold: float,
) -> None:
    table = data.draw(overlap_tables)
    matched = plain_match(table, rules, threshold)
    budget = fix_gains(table, rules, threshold, NUM_CLASSES)
    before = mean_average_precision(table, NUM_CLASSES, rules, threshold).per_class
    np.testing.assert_array_equal(budget.average_precision, before)
    expected = plain_gains(table, matched, rules, threshold)
    assert budget.errors.keys() == budget.counts.keys() == expected.keys()
    for name, gains in expected.items():
        np.testing.assert_allclose(budget.errors[name], gains, rtol=0, atol=1e-12, err_msg=name)
        of_class = gains[~np.isnan(gains)]
        assert not len(of_class) or budget.mean[name] == pytest.approx(of_class.mean(), abs=1e-12)
        assert (of_class >= -1e-12).all()

    errors = [(d, plain_error(d, table, rules, threshold)[0]) for d in range(len(matched)) if matched[d] == -1]
    for name in set(ERRORS) - {"missed"}:
        labels = table.labels[[d for d, error in errors if error == name]]
        np.testing.assert_array_equal(budget.counts[name], np.bincount(labels, minlength=NUM_CLASSES))
    assert budget.counts[FALSE_POSITIVES].sum() == len(errors)
    assert budget.counts[FALSE_NEGATIVES].sum() == len(table.truth_rows) - sum(g != -1 for g in matched)


@pytest.mark.parametrize(
    ("place", "label", "iou", "gains"),
    [
        (HERE, 0, 0.3, {"localization": 1.0, FALSE_NEGATIVES: 0}),
        (HERE, 1, 0.6, {"classification": 1.0, FALSE_NEGATIVES: 0}),
        (HERE, 1, 0.3, {"other": 0, "missed": 0}),
        (HERE, 0, 0.05, {"background": 0, "missed": 0}),
        (LATER, 0, 0.0, {"time": 0, "missed": 0}),
        (ELSEWHERE, 0, 0.0, {"background": 0, "missed": 0}),
    ],
)
def test_what_one_wrong_box_costs(
    overlap_table: Callable[..., OverlapTable], place: Any, label: int, iou: float, gains: dict[str, float]
) -> None:
    table = overlap_table([(place, label, 0.9)], [(HERE, 0)], {(0, 0): iou})
    budget = fix_gains(table, VOC.frame, 0.5, 2)
    of_error = {name: float(values[0]) for name, values in budget.errors.items()}
    expected = {name: gains.get(name, 0.0) for name in of_error}
    assert of_error == expected
    found = {name for name, number in budget.counts.items() if number.any()}
    assert found == {FALSE_POSITIVES, FALSE_NEGATIVES, *gains}


def test_a_duplicate_costs_precision(overlap_table: Callable[..., OverlapTable]) -> None:
    found, truth = [(HERE, 0, 0.9), (HERE, 0, 0.8), (LATER, 0, 0.7)], [(HERE, 0), (LATER, 0)]
    budget = fix_gains(overlap_table(found, truth, {(0, 0): 0.9, (1, 0): 0.8, (2, 1): 0.9}), VOC.frame, 0.5, 1)
    assert budget.average_precision[0] == pytest.approx((1 + 2 / 3) / 2)
    assert budget.mean["duplicate"] == budget.mean[FALSE_POSITIVES] == pytest.approx(1 / 6)
    assert budget.mean["missed"] == 0


def test_only_the_surest_error_of_a_ground_truth_is_corrected(overlap_table: Callable[..., OverlapTable]) -> None:
    found = [(HERE, 0, 0.8), (HERE, 1, 0.9), (HERE, 0, 0.7)]
    budget = fix_gains(overlap_table(found, [(HERE, 0)], {(0, 0): 0.4, (1, 0): 0.9, (2, 0): 0.3}), VOC.frame, 0.5, 2)
    assert budget.errors["classification"][0] == 1
    assert budget.errors["localization"][0] == 0  # both are removed: the box of class 1 is surer
    assert budget.counts["missed"].tolist() == [0, 0]


def test_a_tube_that_fails_in_time_alone_is_corrected(overlap_table: Callable[..., OverlapTable]) -> None:
    table = overlap_table([(HERE, 0, 0.9)], [(HERE, 0)], {(0, 0): 0.4}, {(0, 0): 0.8})
    assert fix_gains(table, Rules(), 0.5, 1).mean["time"] == 1
    assert fix_gains(table, Rules(), 0.5, 1).mean["localization"] == 0


def test_missed_ground_truth_costs_what_nothing_else_can_bring(overlap_table: Callable[..., OverlapTable]) -> None:
    budget = fix_gains(overlap_table([(HERE, 0, 0.9)], [(HERE, 0), (LATER, 0)], {(0, 0): 1.0}), VOC.frame, 0.5, 2)
    assert budget.mean["missed"] == budget.mean[FALSE_NEGATIVES] == 0.5
    assert np.isnan(budget.errors["missed"][1])


def test_nothing_at_all_is_no_error(overlap_table: Callable[..., OverlapTable]) -> None:
    budget = fix_gains(overlap_table([], [], {}), VOC.frame, 0.5, 2)
    assert all(math.isnan(mean) for mean in budget.mean.values())
    assert not any(number.any() for number in budget.counts.values())


def test_a_threshold_of_zero_is_refused(overlap_table: Callable[..., OverlapTable]) -> None:
    with pytest.raises(ConfigError, match="0"):
        fix_gains(overlap_table([], [], {}), VOC.frame, 0.0, 2)


@pytest.mark.data
def test_tubes_of_an_oracle_lose_most_by_time(oracle: Callable[[str], Any]) -> None:
    classes, tables = oracle("medium")
    table = tube_overlaps(tables, VOC.video)
    budget = fix_gains(table, VOC.video, 0.5, len(classes))
    expected = mean_average_precision(table, len(classes), VOC.video, 0.5).mean
    assert np.nanmean(budget.average_precision) == expected
    assert max(ERRORS, key=lambda name: budget.mean[name]) == "time"
