"""What a config becomes before mmengine takes over."""

from pathlib import Path

import pytest
from mmengine.config import Config

from stal.engine.config import fit_schedules, load_config
from stal.engine.runner import (
    _refuse_frozen_from_scratch,
    _refuse_unknown_scenes,
    build_linker,
    build_protocol,
    build_train_runner,
)
from stal.errors import ConfigError
from stal.linking.candidates import Candidates
from stal.linking.linker import LINKERS, Linker
from stal.linking.online import OnlineLinking
from stal.linking.trimming import KeepWhole
from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.group_dro import GroupDRO
from stal.metrics.protocol import PROTOCOLS
from stal.structures import Annotations, Video

CONFIG = Path(__file__).parents[2] / "configs" / "scenes_small_plain.py"


def videos_on(*scenes: str | None) -> Annotations:
    """Return videos without actors that show these scenes; None where it is unknown."""
    videos = [
        Video(f"{number}", Path(f"{number}.mp4"), 8, 32, 48, split="train", scene=scene)
        for number, scene in enumerate(scenes)
    ]
    return Annotations(("run", "jump"), tuple(videos))


def test_schedules_follow_the_number_of_epochs():
    schedule = [{"type": "LinearLR", "end": 1}, {"type": "CosineAnnealingLR", "begin": 1, "end": "max_epochs"}]
    config = Config({"train_cfg": {"max_epochs": 7}, "param_scheduler": schedule})
    assert [entry["end"] for entry in fit_schedules(config)] == [1, 7]


def test_a_training_without_schedule_is_allowed():
    assert fit_schedules(Config({"train_cfg": {"max_epochs": 7}})) == []


@pytest.mark.parametrize(
    "penalty",
    [
        {"type": "stal.losses.sdn.SDN", "num_scenes": 2, "in_channels": 4},
        {"type": "stal.losses.group_dro.GroupDRO", "num_scenes": 2, "num_classes": 9},
    ],
    ids=["SDN", "GroupDRO"],
)
@pytest.mark.parametrize(
    ("scenes", "message"),
    [
        (
            (None, None, None),
            r"of the 3 training videos of data = read_tubes_json\(path='data/scenes_small/annotations.json'\) none has "
            "a scene: name their scenes in an annotation file",
        ),
        (("beach", None, "road", "wood"), "num_scenes = 2, but .* 3 scenes: set model.penalty.num_scenes=3"),
    ],
    ids=["unknown", "more"],
)
def test_a_penalty_on_scenes_is_refused_where_they_are_unknown_or_more(penalty, scenes, message):
    config = load_config(CONFIG, {"model.penalty": {"weight": 1.0, **penalty}})
    with pytest.raises(ConfigError, match=f"model.penalty: {penalty['type'].rpartition('.')[2]} .*{message}"):
        build_train_runner(config, videos_on(*scenes))


@pytest.mark.parametrize("norm", ["group", "layer", "batch"])
def test_norms_that_learn_need_no_weights(norm):
    assert _refuse_frozen_from_scratch(norm) is None


def test_frozen_norms_are_refused_without_weights():
    with pytest.raises(ConfigError, match=r"'frozen_batch' needs .* backbone_weights or load_from, .*norm='group'"):
        _refuse_frozen_from_scratch("frozen_batch")


def test_a_penalty_on_scenes_takes_videos_of_which_some_show_fewer():
    penalty = GroupDRO(1.0, num_classes=2, num_scenes=2)
    for scenes in (("beach", None), ("beach", "road", None)):
        assert _refuse_unknown_scenes(Config({}), videos_on(*scenes), penalty) is None


@pytest.mark.parametrize("penalty", [None, GradientPenalty(1.0)])
def test_without_a_penalty_on_scenes_they_may_be_unknown(penalty):
    assert _refuse_unknown_scenes(Config({}), videos_on(None), penalty) is None


def test_the_default_linker_and_protocol_need_no_settings():
    assert build_linker(Config({})) == LINKERS["default"]
    assert build_protocol(Config({})) == PROTOCOLS["voc"]


def test_linker_and_protocol_go_by_name():
    config = Config({"linking": "act", "protocol": "act"})
    assert build_linker(config) == LINKERS["act"]
    assert build_protocol(config) == PROTOCOLS["act"]


STEPS = {
    "candidates": {"type": "stal.linking.candidates.Candidates", "top_k": 3},
    "link": {"type": "stal.linking.online.OnlineLinking", "max_gap": 2},
    "trim": {"type": "stal.linking.trimming.KeepWhole"},
}


def test_a_linker_may_be_put_together():
    linker = build_linker(Config({"linking": {"type": "stal.linking.linker.Linker", **STEPS, "min_length": 4}}))
    assert linker == Linker(Candidates(top_k=3), OnlineLinking(max_gap=2), KeepWhole(), min_length=4)


@pytest.mark.parametrize(
    ("linking", "message"),
    [
        ("onlin", "linker 'onlin' is not known; known are default, online, act, viterbi"),
        ({"top_k": 3}, "linking = .*top_k.*neither one of default, online, act, viterbi nor dict"),
        ({"type": "stal.linking.linker.Linker", **STEPS, "min_len": 4}, "linking: Linker: .*'min_len'"),
    ],
)
def test_an_unknown_linking_is_an_error(linking, message):
    with pytest.raises(ConfigError, match=message):
        build_linker(Config({"linking": linking}))


@pytest.mark.parametrize("protocol", ["voc07", {"name": "voc"}])
def test_an_unknown_protocol_is_an_error_that_lists_those_that_there_are(protocol):
    with pytest.raises(ConfigError, match=r"protocol .* is not known; known are voc, act, multisports"):
        build_protocol(Config({"protocol": protocol}))
