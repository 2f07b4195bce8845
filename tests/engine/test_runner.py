"""What a config becomes before mmengine takes over."""

import pytest
from mmengine.config import Config

from stal.engine.metrics import TubeMetrics
from stal.engine.runner import _fit_schedule, _refuse_static_graph
from stal.errors import ConfigError
from stal.structures import Annotations


def test_schedules_follow_the_number_of_epochs():
    schedule = [{"type": "LinearLR", "end": 1}, {"type": "CosineAnnealingLR", "begin": 1, "end": "max_epochs"}]
    config = Config({"train_cfg": {"max_epochs": 7}, "param_scheduler": schedule})
    assert [entry["end"] for entry in _fit_schedule(config)] == [1, 7]


def test_a_training_without_schedule_is_allowed():
    assert _fit_schedule(Config({"train_cfg": {"max_epochs": 7}})) == []


def test_a_static_graph_is_refused_with_a_penalty():
    model_wrapper = {"type": "MMDistributedDataParallel", "static_graph": True}
    with pytest.raises(ConfigError, match="wrong gradients"):
        _refuse_static_graph(Config({"model_wrapper_cfg": model_wrapper, "model": {"penalty": {"weight": 1.0}}}))
    _refuse_static_graph(Config({"model_wrapper_cfg": model_wrapper, "model": {"penalty": None}}))


def test_a_misspelt_setting_of_the_linker_is_an_error_before_testing():
    with pytest.raises(ConfigError, match="trimm"):
        TubeMetrics(Annotations(("a",), ()), linking={"trimm": 0.5})
