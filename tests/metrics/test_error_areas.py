"""ACT-style areas of errors against plain loops in exact fractions, hand-made cases, and ACT's own numbers."""

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.metrics.average_precision import RankedHits, class_average_precision, mean_average_precision
from stal.metrics.error_areas import error_areas, rank_weights
from stal.metrics.error_budget import ERRORS
from stal.metrics.overlaps import OverlapTable, frame_overlaps, tube_overlaps
from stal.metrics.protocol import ACT, PROTOCOLS, FrameRules, Rules

NUM_CLASSES = 3
AREAS = ["envelope", "trapezoid", "envelope_trapezoid", "eleven_points"]
THRESHOLDS = st.sampled_from([0.2, 0.5, 0.6, 1.0])
RULES = st.builds(
    Rules,
    matching=st.sampled_from(["best_of_all", "best_of_free"]),
    threshold=st.sampled_from(["at_least", "above"]),
    area=st.sampled_from(AREAS),
    absent_classes=st.sampled_from(["left_out", "zero"]),
    extra_truth=st.sampled_from([0.0, 0.25]),
)
ONE, TWO, THREE = (0, 0), (0, 1), (1, 0)  # two frames of a video and one of another


def plain_kind(d: int, table: OverlapTable, matched: list[int], rules: Rules, threshold: float) -> str:
    """The error of one detection, or `hit`."""
    pairs = [p for p in range(len(table.pair_iou)) if table.pair_detection[p] == d]
    own = [p for p in pairs if table.truth_labels[table.pair_truth[p]] == table.labels[d]]
    others = [p for p in pairs if p not in own]
    in_video = any(
        video == table.videos[d] and label == table.labels[d]
        for video, label in zip(table.truth_videos, table.truth_labels, strict=True)
    )

    def enough(p: int) -> bool:
        iou = table.pair_iou[p]
        return bool(iou > threshold if rules.threshold == "above" else iou >= threshold)

    spatial = table.pair_spatial_iou
    if matched[d] != -1:
        return "hit"
    if any(enough(p) for p in own):
        return "duplicate"
    if in_video and (not pairs or (spatial is not None and all(math.isnan(spatial[p]) for p in pairs))):
        return "time"
    if own:
        best = max(own, key=lambda p: table.pair_iou[p])
        return "time" if spatial is not None and spatial[best] >= math.sqrt(threshold) else "localization"
    if any(enough(p) for p in others):
        return "classification"
    return "other" if any(table.pair_iou[p] > 0.1 for p in others) else "background"


def plain_reads(hits: list[bool], num_truth: Fraction, area: str) -> dict[int, Fraction]:
    """How much the detections down to each rank weigh in the AP, walking along the curve."""
    num_true = [sum(hits[:n]) for n in range(len(hits) + 1)]
    precision = [Fraction(1)] + [Fraction(num_true[n], n) for n in range(1, len(hits) + 1)]
    weights: dict[int, Fraction] = {}

    def read(n: int, weight: Fraction, envelope: bool) -> None:
        if envelope:
            n = max(range(n, len(hits) + 1), key=lambda m: (precision[m], -m))
        weights[n] = weights.get(n, Fraction(0)) + weight

    if area == "eleven_points":
        for level in range(11):
            reached = [n for n in range(1, len(hits) + 1) if 10 * num_true[n] >= level * num_truth]
            if reached and num_true[-1]:
                read(reached[0], Fraction(1, 11), envelope=True)
        return weights
    for n, hit in enumerate(hits, start=1):
        if not hit:
            continue
        if area == "envelope":
            read(n, 1 / num_truth, envelope=True)
        else:
            read(n - 1, 1 / num_truth / 2, envelope=area == "envelope_trapezoid")
            read(n, 1 / num_truth / 2, envelope=area == "envelope_trapezoid")
    return weights


@given(data=st.data(), rules=RULES, threshold=THRESHOLDS)
def test_areas_equal_plain_loops(
    overlap_tables: st.SearchStrategy[OverlapTable],
    plain_match: Callable[..., list[int]],
    data: st.DataObject,
    rules: Rules,
    threshold: float,
) -> None:
    table = data.draw(overlap_tables)
    matched = plain_match(table, rules, threshold)
    budget = error_areas(table, rules, threshold, NUM_CLASSES)
    expected_ap = mean_average_precision(table, NUM_CLASSES, rules, threshold)
    np.testing.assert_array_equal(budget.average_precision, expected_ap.per_class)
    for label in range(NUM_CLASSES):
        ranked = [d for d in sorted(range(len(matched)), key=lambda d: -table.scores[d]) if table.labels[d] == label]
        kinds = [plain_kind(d, table, matched, rules, threshold) for d in ranked]
        num_truth = int((table.truth_labels == label).sum())
        for name in ERRORS:
            count = num_truth - kinds.count("hit") if name == "missed" else kinds.count(name)
            assert budget.counts[name][label] == count, name
        if num_truth == 0:
            absent = math.nan if rules.absent_classes == "left_out" else 0
            expected = {name: absent if name != "missed" else absent + 1 for name in ERRORS}
        else:
            weights = plain_reads(
                [kind == "hit" for kind in kinds], num_truth + Fraction(rules.extra_truth), rules.area
            )
            expected = {
                name: float(sum(w * Fraction(kinds[:n].count(name), n) for n, w in weights.items() if n > 0))
                for name in ERRORS
            }
            expected["missed"] = 1 - sum(expected.values()) - budget.average_precision[label]
        for name in ERRORS:
            np.testing.assert_allclose(budget.errors[name][label], expected[name], rtol=0, atol=1e-12, err_msg=name)


@given(data=st.data(), threshold=THRESHOLDS, name=st.sampled_from(sorted(PROTOCOLS)))
def test_precision_and_errors_and_missed_sum_to_one(
    overlap_tables: st.SearchStrategy[OverlapTable], data: st.DataObject, threshold: float, name: str
) -> None:
    table, rules = data.draw(overlap_tables), PROTOCOLS[name].frame
    budget = error_areas(table, rules, threshold, NUM_CLASSES)
    total = budget.average_precision + sum(budget.errors.values())
    np.testing.assert_allclose(total[~np.isnan(total)], 1, rtol=0, atol=1e-15)
    assert list(budget.errors) == list(budget.mean) == list(ERRORS)
    if rules.area != "envelope_trapezoid":
        num_truth = np.bincount(table.truth_labels, minlength=NUM_CLASSES)
        present = num_truth > 0
        share = budget.counts["missed"][present] / num_truth[present]
        np.testing.assert_allclose(budget.errors["missed"][present], share, rtol=0, atol=1e-12)


@given(
    st.lists(st.booleans(), max_size=12),
    st.integers(1, 3),
    st.sampled_from([a for a in AREAS if a != "envelope_trapezoid"]),
)
def test_rank_weights_give_the_average_precision(hits: list[bool], num_missed: int, area: Any) -> None:
    num_truth = sum(hits) + num_missed
    ranked = RankedHits(np.arange(len(hits)), np.array(hits, bool), num_truth)
    precision = np.append(1.0, np.cumsum(ranked.hits) / np.arange(1, len(hits) + 1))
    weights = rank_weights(ranked.hits, float(num_truth), area)
    assert weights @ precision == pytest.approx(class_average_precision(ranked, Rules(area=area)), abs=1e-12)


@pytest.mark.parametrize(
    ("place", "label", "ious", "error"),
    [
        (ONE, 0, {(1, 0): 0.7}, "duplicate"),
        (ONE, 0, {(1, 0): 0.4}, "localization"),
        (ONE, 0, {}, "localization"),
        (ONE, 1, {(1, 0): 0.5}, "classification"),
        (ONE, 1, {(1, 0): 0.4}, "other"),
        (ONE, 1, {(1, 0): 0.1}, "background"),
        (TWO, 0, {}, "time"),
        (TWO, 1, {}, "background"),
        (THREE, 0, {}, "background"),
    ],
)
def test_a_box_has_the_error_that_its_frame_tells(
    overlap_table: Callable[..., OverlapTable], place: Any, label: int, ious: dict[Any, float], error: str
) -> None:
    table = overlap_table([(ONE, 0, 0.9), (place, label, 0.5)], [(ONE, 0)], {(0, 0): 0.9, **ious})
    counts = error_areas(table, FrameRules(), 0.5, NUM_CLASSES).counts
    assert {name: number.tolist() for name, number in counts.items() if number.any()} == {
        error: [int(k == label) for k in range(NUM_CLASSES)]
    }


@pytest.mark.parametrize(
    ("iou", "spatial_iou", "error"),
    [(0.4, 0.8, "time"), (0.4, 0.7, "localization"), (0.0, np.nan, "time"), (0.0, 0.0, "localization")],
)
def test_a_tube_that_fails_in_time_alone_has_a_time_error(
    overlap_table: Callable[..., OverlapTable], iou: float, spatial_iou: float, error: str
) -> None:
    table = overlap_table([(ONE, 0, 0.9)], [(ONE, 0)], {(0, 0): iou}, {(0, 0): spatial_iou})
    assert error_areas(table, FrameRules(), 0.5, NUM_CLASSES).counts[error].tolist() == [1, 0, 0]


def test_nothing_found_is_all_missed_and_no_ground_truth_is_nothing(overlap_table: Callable[..., OverlapTable]) -> None:
    budget = error_areas(overlap_table([], [(ONE, 0)], {}), FrameRules(), 0.5, 2)
    assert budget.errors["missed"][0] == 1
    assert np.isnan(budget.errors["missed"][1])
    assert budget.mean == {name: float(name == "missed") for name in ERRORS}
    empty = error_areas(overlap_table([(ONE, 0, 0.5)], [], {}), FrameRules(), 0.5, 1)
    assert empty.counts["background"].tolist() == [1]
    assert all(math.isnan(mean) for mean in empty.mean.values())


@pytest.mark.data
@pytest.mark.parametrize("size", ["small", "medium"])
def test_areas_of_frames_equal_those_of_act(shared: Path, oracle: Callable[[str], Any], size: str) -> None:
    classes, tables = oracle(size)
    rules = ACT.frame
    budget = error_areas(frame_overlaps(tables, rules), rules, 0.5, len(classes))
    peers = json.loads((shared / "oracles/peers.json").read_text())["sizes"][size]
    reference = peers["reference"]["frame_errors_act@0.50"]
    moc = peers["peers"]["moc_float64/unique"]["frame_error"]
    assert list(reference) == moc["labels"]
    of_act = {"L": ("localization", "duplicate"), "C": ("classification",), "T": ("time",)}
    of_act |= {"O": ("other", "background"), "M": ("missed",)}
    for position, name in enumerate(reference):
        label = classes.index(name)
        area, count = reference[name]["area"], reference[name]["count"]
        assert 100 * budget.average_precision[label] == pytest.approx(area["TP"], abs=1e-9)
        assert 100 * budget.average_precision[label] == pytest.approx(moc["AP"][position], abs=1e-9)
        for letter, ours in of_act.items():
            found = 100 * sum(budget.errors[error][label] for error in ours)
            assert found == pytest.approx(area[letter], abs=1e-9), (name, letter)
            assert found == pytest.approx(moc[f"E{letter}"][position], abs=1e-9), (name, letter)
            assert letter == "M" or sum(budget.counts[error][label] for error in ours) == count[letter]


@pytest.mark.data
def test_tubes_of_an_oracle_have_every_kind_of_error(oracle: Callable[[str], Any]) -> None:
    classes, tables = oracle("medium")
    for name in ("voc", "act", "multisports", "yowo"):
        rules = PROTOCOLS[name].video
        budget = error_areas(tube_overlaps(tables, rules), rules, 0.5, len(classes))
        total = budget.average_precision + sum(budget.errors.values())
        np.testing.assert_allclose(total[~np.isnan(total)], 1, rtol=0, atol=1e-12)
        assert all(budget.counts[error].sum() for error in ERRORS if error != "duplicate")
