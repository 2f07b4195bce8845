import copy
from pathlib import Path
from typing import Any

import pytest

from stal.errors import ConfigError
from stal.experiments.spec import read_experiment

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_of_the_project_can_be_read(path):
    assert read_experiment(path).name == path.stem


def test_mixers_and_penalties_are_options_of_the_config(read):
    experiment = read()
    assert experiment.mixers["none"] == {"model.data_preprocessor.mixer": None}
    mixer = experiment.mixers["BatchMix"]["model.data_preprocessor.mixer"]
    assert mixer == {"type": "stal.mixing.batch_mix.BatchMix", "probability": 0.5}
    assert experiment.penalties["none"] == {"model.penalty": None, "model.penalty_masks": None}
    lazy = experiment.penalties["lazy"]
    assert lazy["model.penalty"]["interval"] == 4
    assert lazy["model.penalty_masks"] == {"type": "stal.mixing.mask_sources.ProvenanceMasks"}
    assert lazy["train_cfg.max_epochs"] == 3


def test_a_grid_may_take_all_or_some(read):
    grids = [
        {"title": "A", "mixers": "all", "penalties": ["pgg", "none"], "seeds": 3, "compare_to": ["none"]},
        {"title": "B", "about": "Why.", "mixers": ["none"], "penalties": "all", "seeds": [7, 3]},
    ]
    first, second = read(grids=grids).grids
    assert (first.mixers, first.penalties, first.seeds) == (("none", "BatchMix"), ("pgg", "none"), (0, 1, 2))
    assert first.compare_to == ("none",)
    assert (second.mixers, second.seeds, second.about) == (("none",), (7, 3), "Why.")


def test_a_set_may_be_a_folder_under_a_name(read):
    sets = read(sets={"iid": "test", "shifted": "{tiny}/swapped"}).sets
    assert sets == {"iid": "test", "shifted": "{tiny}/swapped"}


GRID = {"title": "All", "mixers": "all", "penalties": "all", "seeds": 2}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"titel": "x"}, r"the document: unknown key 'titel'; the keys are title"),
        ({"title": 3}, r"title: expected a text, got 3"),
        ({"sets": []}, r"sets: there is no set"),
        ({"sets": ["iid", "iid"]}, r"sets: a set is there twice"),
        ({"iid": "test"}, r"iid: there is no set 'test'; there are iid, shifted"),
        ({"metrics": []}, r"metrics: there is no number to show"),
        ({"metrics": "accuracy"}, r"metrics: expected a list"),
        ({"data": {"tiny": "tools/make_scenes.py folder"}}, r"data\.tiny: .*write \{out\}"),
        ({"data": {"out": "tools/make_scenes.py {out}"}}, r"data\.out: .*name it otherwise"),
        ({"mixers": {"a/b": None}}, r"mixers\.a/b: the name 'a/b'"),
        ({"mixers": {"a": "BatchMix"}}, r"mixers\.a: expected keys with values, got 'BatchMix'"),
        ({"mixers": {"a": {"mixer": {"probability": 1}}}}, r"mixers\.a\.mixer: the key 'type' is missing"),
        ({"mixers": {"a": {"type": "BatchMix"}}}, r"mixers\.a\.mixer\.type: expected a dotted path"),
        ({"penalties": {"a": {"penalty": None, "mask": None}}}, r"penalties\.a: unknown key 'mask'; .*masks"),
        ({"penalties": {1: None}}, r"penalties: unknown key 1; a key is a text"),
        ({"grids": []}, r"grids: there is no grid"),
        ({"grids": [GRID, {**GRID, "seeds": 1}]}, r"grids: two grids have the title 'All'; give each its own"),
        ({"grids": [{**GRID, "mixers": ["Mix"]}]}, r"grids\[0\]\.mixers\[0\]: there is no mixer 'Mix'; there are none"),
        ({"grids": [{**GRID, "mixers": ["none", "none"]}]}, r"grids\[0\]\.mixers: a mixer is there twice"),
        ({"grids": [{**GRID, "seeds": 0}]}, r"grids\[0\]\.seeds: expected a number of seeds"),
        ({"grids": [{**GRID, "seeds": [1, 1]}]}, r"grids\[0\]\.seeds: expected .* different ones"),
        ({"grids": [{**GRID, "seeds": -1}]}, r"grids\[0\]\.seeds: expected an integer of 0 or more, got -1"),
        (
            {"grids": [{**GRID, "penalties": ["pgg"], "compare_to": ["none"]}]},
            r"grids\[0\]\.compare_to: 'none' is not among the penalties of the grid",
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_place(read, changes: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=rf"example\.yaml: {said}"):
        read(**copy.deepcopy(changes))


def test_a_missing_key_is_named(write):
    path = write("title: x\n")
    with pytest.raises(ConfigError, match=r"example\.yaml: the document: the key 'sets' is missing"):
        read_experiment(path)
