"""The configs that train on labels of clips."""

import itertools
from pathlib import Path

import pytest

from stal.engine.config import load_config
from stal.engine.runner import build_model
from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix
from stal.mixing.mask_sources import SourceClipMasks

CONFIGS = Path(__file__).parents[2] / "configs"
METHODS = {"plain": (False, False), "batchmix": (True, False), "batchmix_pgg": (True, True)}


@pytest.mark.parametrize(("data_set", "method"), [*itertools.product(["scenes", "ucf24"], METHODS)])
def test_a_config_pools_in_training_and_is_of_its_method(data_set, method):
    path = CONFIGS / f"{data_set}_weak_{method}.py"
    config, (mixes, penalised) = load_config(path), METHODS[method]
    model = config.model
    assert model.detector.train_pool == "clip" and model.detector.get("test_pool", "roi") == "roi"
    assert (model.data_preprocessor.mixer is not None) == mixes
    assert not mixes or (model.data_preprocessor.mixer.type, model.data_preprocessor.mixer.max_pasted) == (
        BatchMix,
        100,
    )
    assert (model.penalty and model.penalty.type) == (GradientPenalty if penalised else None)
    assert (model.get("penalty_masks") and model.penalty_masks.type) == (SourceClipMasks if penalised else None)
    assert config.data.type.__name__ == {"scenes": "read_tubes_json", "ucf24": "read_ucf24"}[data_set]
    assert f"configs/{path.name}" in path.read_text()


def test_the_model_of_a_config_can_be_built():
    model = build_model(load_config(CONFIGS / "scenes_weak_batchmix_pgg.py"))
    assert isinstance(model.penalty_masks, SourceClipMasks) and model.proposals == "ground_truth"
