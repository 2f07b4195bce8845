import dataclasses
import json
from typing import Any

import pytest

from stal.errors import ConfigError
from stal.metrics.protocol import PROTOCOLS, VOC, FrameRules, Protocol, find_protocol


def test_every_protocol_is_listed_under_its_name() -> None:
    assert list(PROTOCOLS) == ["voc", "act", "multisports", "retina3d", "yowo", "yowov3", "singh", "tuber"]
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())


def test_the_hash_is_of_the_rules_and_not_of_the_name() -> None:
    assert len({protocol.hash for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)
    assert dataclasses.replace(VOC, name="mine", source="me").hash == VOC.hash
    assert len(VOC.hash) == 8
    int(VOC.hash, 16)


OTHER_RULES = {
    "pixels": "inclusive",
    "frame_size": (512, 682),
    "rounded": True,
    "matching": "best_of_free",
    "threshold": "above",
    "area": "trapezoid",
    "absent_classes": "zero",
    "extra_truth": 1e-5,
    "detections_on": "annotated",
    "truth_on": "detected",
    "min_truth_area": 10.0,
    "temporal_iou": "first_to_last",
    "one_frame_overlap": "nothing",
    "nms_iou": 0.3,
}


@pytest.mark.parametrize("kind", ["frame", "video"])
def test_every_rule_changes_the_hash(kind: str) -> None:
    rules = getattr(VOC, kind)
    for field in dataclasses.fields(rules):
        if field.name != "ties":  # it has one value
            changed = dataclasses.replace(rules, **{field.name: OTHER_RULES[field.name]})
            assert dataclasses.replace(VOC, **{kind: changed}).hash != VOC.hash, field.name


def test_a_published_hash_does_not_change() -> None:
    # Numbers are quoted with it: if this fails, a rule of a preset was changed, and CHANGELOG.md must say so.
    assert {name: protocol.hash for name, protocol in PROTOCOLS.items()} == {
        "voc": "f8099665",
        "act": "cc7f3945",
        "multisports": "6c5577da",
        "retina3d": "c694e3e3",
        "yowo": "2b22baab",
        "yowov3": "713263aa",
        "singh": "8ba88a9f",
        "tuber": "2be40514",
    }


def test_the_description_names_every_rule_and_is_json() -> None:
    description = PROTOCOLS["yowov3"].describe()
    assert description["frame"]["truth_on"] == "detected"
    assert description["video"] is None
    assert json.loads(json.dumps(description))["hash"] == PROTOCOLS["yowov3"].hash


def test_protocols_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        VOC.frame.pixels = "inclusive"  # type: ignore[misc]
    assert isinstance(VOC, Protocol)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"area": "envelop"}, "area='envelop' is no rule; choose one of 'envelope', 'trapezoid'"),
        ({"matching": "best"}, "matching='best' is no rule"),
        ({"min_truth_area": -5.0}, "min_truth_area=-5.0 is no rule"),
        ({"extra_truth": float("nan")}, "extra_truth=nan is no rule"),
        ({"frame_size": (0, 0)}, r"frame_size=\(0, 0\) is no rule"),
        ({"detections_on": "some"}, "detections_on='some' is no rule; choose one of 'all', 'annotated'"),
    ],
)
def test_a_misspelt_rule_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace_unchecked(VOC.frame, settings)


def replace_unchecked(rules: FrameRules, settings: dict[str, Any]) -> FrameRules:
    """Make rules as a user does, whose types nobody checks."""
    wrong = object.__new__(FrameRules)
    for field in dataclasses.fields(rules):
        object.__setattr__(wrong, field.name, settings.get(field.name, getattr(rules, field.name)))
    wrong.__post_init__()
    return wrong


def test_whole_numbers_and_fractions_of_one_value_are_one_rule() -> None:
    rules = replace_unchecked(VOC.frame, {"min_truth_area": 10})
    assert isinstance(rules.min_truth_area, float)


def test_an_unknown_preset_is_an_error_that_lists_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="protocol 'vox' is not known; known are voc, act"):
        find_protocol("vox")
    assert find_protocol("act") is PROTOCOLS["act"]


def test_an_iou_of_suppression_is_in_0_to_1() -> None:
    with pytest.raises(ConfigError, match="nms_iou=7"):
        dataclasses.replace(VOC.video, nms_iou=7.0)
