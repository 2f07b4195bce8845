import pytest

from stal.errors import CheckpointError
from stal.models.weights.recipe import Recipe, read_recipe

CONFIG = """
DATA: {MEAN: [0.45, 0.45, 0.4], STD: [0.2, 0.2, 0.2], REVERSE_INPUT_CHANNEL: true}
DETECTION: {ENABLE: true}
RESNET: {SPATIAL_DILATIONS: [[1, 1], [1, 1], [1, 1], [2, 2]]}
SLOWFAST: {ALPHA: 8}
"""


def test_a_config_says_what_the_weights_mean():
    recipe = read_recipe(CONFIG)
    assert (recipe.alpha, recipe.is_detection, recipe.dilates_last, recipe.is_bgr) == (8, True, True, True)
    assert recipe.mean == pytest.approx((114.75, 114.75, 102.0))
    assert recipe.std == pytest.approx((51.0, 51.0, 51.0))


def test_what_a_config_does_not_say_is_none():
    assert read_recipe("DATA: {}") == Recipe()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "- 1",
        "TRAIN: {}",
        "DATA: {MEAN: [0.1]}",
        "DATA: {MEAN: red}",
        "DATA: 3",
        "!!python/object/apply:os.getcwd []",
        "{DATA: {}, RESNET: {SPATIAL_DILATIONS: []}}",
    ],
)
def test_another_text_is_an_error(text):
    with pytest.raises(CheckpointError, match="not a config of PySlowFast"):
        read_recipe(text)
