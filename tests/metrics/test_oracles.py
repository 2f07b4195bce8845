"""The metrics on real annotations with synthetic detections, against what public evaluators give on the same data."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.data.detection_files import read_detections
from stal.metrics.average_precision import mean_average_precision
from stal.metrics.frame_map import frame_map
from stal.metrics.headlines import AVERAGED_THRESHOLDS
from stal.metrics.overlaps import frame_overlaps, tube_overlaps
from stal.metrics.protocol import PROTOCOLS, VOC, FrameRules, VideoRules
from stal.metrics.summary import evaluate
from stal.metrics.tables import BoxTable, Tables, TubeTable, make_tables
from stal.structures import Annotations

pytestmark = pytest.mark.data

SIZES = ["small", "medium"]
# What each preset is named after, and how far its own arithmetic is from float64, in points of 100: exact evaluators
# use float64; the others keep precision and recall in float32.
EXACT, FLOAT32 = 1e-9, 2e-5
FRAME_PEERS = [
    ("act", "moc_float64/unique", EXACT),
    ("act", "moc/unique", FLOAT32),
    ("act", "act_original_py27/unique", FLOAT32),
    ("multisports", "mmaction2/unique", EXACT),
    ("retina3d", "retina3d/unique", FLOAT32),
    ("yowo", "yowov2/unique", EXACT),
    ("yowov3", "yowov3/unique", EXACT),
    ("singh", "singh17_py/unique", EXACT),
    ("tuber", "tuber/unique", EXACT),
]
VIDEO_PEERS = [
    ("act", "moc_float64/unique", EXACT),
    ("act", "moc/unique", FLOAT32),
    ("act", "act_original_py27/unique", FLOAT32),
    ("multisports", "mmaction2/unique", EXACT),
    ("retina3d", "retina3d/unique", FLOAT32),
    ("yowo", "yowov2_video/unique", FLOAT32),
]
REFERENCE_RULES: dict[str, dict[str, Any]] = {
    "off0": {"pixels": "continuous"},
    "off1": {"pixels": "inclusive"},
    "any": {"matching": "best_of_all"},
    "free": {"matching": "best_of_free"},
    "all": {},
    "annotated": {"detections_on": "annotated"},
    "rounded": {"rounded": True},
    "hull": {"temporal_iou": "first_to_last"},
    "set": {"temporal_iou": "frame_sets"},
    "nolast": {"temporal_iou": "excluding_last"},
    "multi": {"temporal_iou": "first_to_last", "one_frame_overlap": "nothing"},
    "nms0.3": {"nms_iou": 0.3},
    "envelope": {"area": "envelope"},
    "trapezoid": {"area": "trapezoid"},
    "trap_envelope": {"area": "envelope_trapezoid"},
    "eleven": {"area": "eleven_points"},
}


@cache
def peers(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "oracles/peers.json").read_text())["sizes"]


@cache
def oracle(shared: Path, size: str, scores: str) -> tuple[Annotations, Tables]:
    """Read an oracle with its tied scores, or with the ones that have no ties, as inclusive pixels."""
    path = shared / f"oracles/oracle_{size}.npz"
    file = read_detections(path)
    tables = make_tables(
        file.annotations.videos, len(file.annotations.classes), detections=file.detections, tubes=file.tubes
    )
    with np.load(path) as arrays:
        order = np.argsort(arrays["det_video"], kind="stable")
        tube_order = np.argsort(arrays["tube_video"], kind="stable")
        boxes = replace(tables.boxes, scores=arrays[f"det_{scores}"][order].astype(np.float64))
        tubes = replace(tables.tubes, scores=arrays[f"tube_{scores}"][tube_order].astype(np.float64))
    return file.annotations, replace(tables, boxes=boxes, tubes=tubes, half_open=False)


def rules_of(kind: type, *names: str) -> Any:
    return kind(**{name: value for part in names for name, value in REFERENCE_RULES[part].items()})


def assert_per_class(found: np.ndarray, expected: dict[str, float], classes: tuple[str, ...], atol: float) -> None:
    assert expected
    found_by_name = dict(zip(classes, 100 * found, strict=True))
    for name, value in expected.items():
        assert found_by_name[name] == pytest.approx(value, abs=atol), name


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("protocol", "peer", "atol"), FRAME_PEERS)
def test_frame_map_of_a_preset_equals_its_evaluator(
    shared: Path, size: str, protocol: str, peer: str, atol: float
) -> None:
    annotations, tables = oracle(shared, size, "score_unique")
    rules = PROTOCOLS[protocol].frame
    result = mean_average_precision(frame_overlaps(tables, rules), tables.num_classes, rules, 0.5)
    expected = peers(shared)[size]["peers"][peer]["frame"]["0.50"]
    assert_per_class(result.per_class, expected["per_class"], annotations.classes, atol)
    assert 100 * result.mean == pytest.approx(expected["mean"], abs=atol)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("protocol", "peer", "atol"), VIDEO_PEERS)
def test_video_map_of_a_preset_equals_its_evaluator(
    shared: Path, size: str, protocol: str, peer: str, atol: float
) -> None:
    annotations, tables = oracle(shared, size, "score_unique")
    rules = PROTOCOLS[protocol].video
    overlaps = tube_overlaps(tables, rules)
    by_threshold = peers(shared)[size]["peers"][peer]["video"]
    assert len(by_threshold) == 11
    for threshold, expected in by_threshold.items():
        result = mean_average_precision(overlaps, tables.num_classes, rules, float(threshold))
        assert_per_class(result.per_class, expected["per_class"], annotations.classes, atol)
        assert 100 * result.mean == pytest.approx(expected["mean"], abs=atol)


@pytest.mark.parametrize("scores", ["score_unique", "score"])
@pytest.mark.parametrize("size", SIZES)
def test_every_combination_equals_the_reference(shared: Path, size: str, scores: str) -> None:
    annotations, tables = oracle(shared, size, scores)
    reference = peers(shared)[size]["reference"]
    cases = [(f"frame/{name}", 0.5, expected) for name, expected in reference["frame@0.50"].items()]
    cases += [
        (name, float(threshold), expected)
        for name, by_threshold in reference["video"].items()
        for threshold, expected in by_threshold.items()
        if threshold != "0.50:0.95"
    ]
    assert len(cases) == 6 + 7 * 11
    overlaps = {}
    for name, threshold, expected in cases:
        parts = name.removeprefix("frame/").split("/")
        for area in ("envelope", "trapezoid"):
            if name.startswith("frame/"):
                rules = rules_of(FrameRules, *parts, area)
                table = overlaps.setdefault(name, frame_overlaps(tables, rules))
            else:
                rules = rules_of(VideoRules, *parts, area)
                table = overlaps.setdefault(name, tube_overlaps(tables, rules))
            result = mean_average_precision(table, tables.num_classes, rules, threshold)
            per_class = {label: entry[area] for label, entry in expected["per_class"].items() if entry["npos"]}
            assert_per_class(result.per_class, per_class, annotations.classes, EXACT)


@pytest.mark.parametrize("size", SIZES)
def test_the_summary_equals_the_reference(shared: Path, size: str) -> None:
    file = read_detections(shared / f"oracles/oracle_{size}.npz")
    metrics = evaluate(file.annotations, file.detections, file.tubes, half_open=False)
    reference = peers(shared)[size]["reference"]
    assert metrics["frame_mAP@0.5"] == pytest.approx(
        reference["frame@0.50"]["off0/any/all"]["mean"]["envelope"], abs=EXACT
    )
    averaged = reference["video"]["hull/off0/any"]["0.50:0.95"]["envelope"]
    assert metrics["video_mAP@0.5:0.95"] == pytest.approx(averaged, abs=EXACT)


def test_a_frame_index_that_is_off_by_one_costs_points(shared: Path) -> None:
    annotations, tables = oracle(shared, "medium", "score_unique")
    late = replace(tables, boxes=replace(tables.boxes, frames=(tables.boxes.frames - 1).clip(min=0)))
    right, wrong = (
        mean_average_precision(frame_overlaps(t, VOC.frame), len(annotations.classes), VOC.frame, 0.5).mean
        for t in (tables, late)
    )
    assert right - wrong > 0.01


def minicase(case: dict[str, Any], profile: dict[str, Any]) -> np.ndarray:
    """Return the AP of each class in one hand-worked case."""
    names = {
        "off1" if profile["iou_offset"] else "off0",
        profile["match"],
        profile["ap"],
        *([profile["frames"]] if case["kind"] == "frame" else [profile["tube_iou"]]),
    }
    kind = FrameRules if case["kind"] == "frame" else VideoRules
    rules = replace(rules_of(kind, *names), threshold="above" if profile["strict_threshold"] else "at_least")
    num_videos = 1 + max(row[0] for row in case["gt"] + case["det"])
    if case["kind"] == "frame":
        truth = tubes([(v, c, 1.0, frame, box, 1) for v, frame, c, *box in case["gt"]])
        rows = sorted((row for row in case["det"]), key=lambda row: row[0])
        found = BoxTable(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] - 1 for row in rows], np.int64),
            np.array([row[2] for row in rows], np.int64),
            np.array([row[4:] for row in rows], np.float32).reshape(-1, 4),
            np.array([row[3] for row in rows], np.float64),
        )
        tables = Tables(case["num_classes"], *shapes(num_videos), truth, found, tubes([]), half_open=False)
        table = frame_overlaps(tables, rules)
    else:
        truth = tubes([(v, c, 1.0, start, box, length) for v, c, start, box, length in case["gt"]])
        found = tubes(case["det"])
        tables = Tables(case["num_classes"], *shapes(num_videos), truth, truth.as_boxes(), found, half_open=False)
        table = tube_overlaps(tables, rules)
    return mean_average_precision(table, case["num_classes"], rules, case["thr"]).per_class


def shapes(num_videos: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(num_videos, 100), np.tile([240, 320], (num_videos, 1))


def tubes(rows: list[Any]) -> TubeTable:
    """Make a table of (video, label, score, 1-based first frame, box or boxes, length) rows."""
    rows = sorted(rows, key=lambda row: row[0])
    boxes = [np.broadcast_to(np.array(row[4], np.float32), (row[5], 4)) for row in rows]
    return TubeTable(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
        np.cumsum([0, *(row[5] for row in rows)]),
        np.concatenate([np.zeros(0, np.int64), *(np.arange(row[5]) + row[3] - 1 for row in rows)]),
        np.concatenate([np.zeros((0, 4), np.float32), *boxes]),
    )


def test_hand_worked_cases(shared: Path) -> None:
    file = json.loads((shared / "oracles/minicases.json").read_text())
    cases = [case for case in file["cases"] if case["name"] != "f19_nan_score"]  # refused, see below
    assert len(cases) == 35
    for case in cases:
        for name, expected in case["expect"].items():
            fractions = [expected[str(label)] for label in range(case["num_classes"])]
            values = [
                np.nan if text is None else np.divide(*map(int, f"{text}/1".split("/")[:2])) for text in fractions
            ]
            np.testing.assert_allclose(
                minicase(case, file["profiles"][name]), values, rtol=0, atol=1e-12, err_msg=f"{case['name']}, {name}"
            )


def test_averaged_thresholds_are_those_of_the_reference(shared: Path) -> None:
    names = peers(shared)["small"]["reference"]["video"]["hull/off0/any"].keys() - {"0.20", "0.50:0.95"}
    assert sorted(float(name) for name in names) == list(AVERAGED_THRESHOLDS)


def test_tied_and_untied_scores_of_the_oracle_rank_alike(shared: Path) -> None:
    file = read_detections(shared / "oracles/oracle_small.npz")
    result = frame_map(file.annotations.videos, file.detections, len(file.annotations.classes), half_open=False)
    _, tables = oracle(shared, "small", "score_unique")
    untied = mean_average_precision(frame_overlaps(tables, VOC.frame), tables.num_classes, VOC.frame, 0.5)
    np.testing.assert_allclose(result.per_class, untied.per_class, rtol=0, atol=1e-12)
