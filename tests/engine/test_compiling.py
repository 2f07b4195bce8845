"""Which backbones are compiled, and that a compiled one is the same network."""

from pathlib import Path

import pytest
import torch
from jaxtyping import config
from mmengine.config import Config

from stal.engine.compiling import compile_backbone
from stal.engine.config import load_config
from stal.errors import ConfigError

CONFIG = Path(__file__).parents[2] / "configs" / "scenes_small_plain.py"


@pytest.fixture
def backend(monkeypatch):
    """Run what torch.compile has traced as it is, and count how often it traced; a real compiler takes minutes."""
    graphs = []

    def run_traced(graph, inputs):
        graphs.append(graph)
        return graph

    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *args, **settings: compile_with(*args, backend=run_traced, **settings))
    config.update("jaxtyping_disable", True)  # it looks at values, which no trace has
    yield graphs
    config.update("jaxtyping_disable", False)
    torch._dynamo.reset()


def test_nothing_is_compiled_unless_the_config_asks_for_it(small_model, backend):
    model = small_model()
    compile_backbone(load_config(CONFIG), model, training=True)
    assert model.detector.backbone._compiled_call_impl is None


def test_a_compiled_backbone_is_one_graph_with_the_same_features_and_weights(small_model, backend):
    model = small_model()
    backbone, clips = model.detector.backbone, torch.randn(2, 3, 8, 32, 48)
    names, expected = set(model.state_dict()), backbone(clips)
    compile_backbone(Config({"compile_backbone": True}), model, training=True)
    found = backbone(clips)
    assert len(backend) == 1 and set(model.state_dict()) == names
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("training", [True, False])
def test_a_penalty_is_refused_in_training_alone(small_model, backend, training):
    asked, model = Config({"compile_backbone": True}), small_model(1e-3)
    if training:
        with pytest.raises(ConfigError, match=r"compile_backbone=True with model\.penalty = GradientPenalty"):
            compile_backbone(asked, model, training=True)
    else:
        compile_backbone(asked, model, training=False)
        assert model.detector.backbone._compiled_call_impl is not None


def test_stages_that_run_again_are_refused(small_model, backend):
    model = small_model()
    model.detector.backbone.checkpoint_stages = True
    with pytest.raises(ConfigError, match="checkpoint_stages=True: take one"):
        compile_backbone(Config({"compile_backbone": True}), model, training=True)
