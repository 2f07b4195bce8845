from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from stal.engine.config import config_digest, load_config, training_settings, with_options
from stal.errors import ConfigError

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))

EXAMPLE = """
model = dict(type="fractions.Fraction", backbone=dict(type="a.B", depth=18, strides=(1, 2)), penalty=None)
param_scheduler = [dict(eta_max=1.0, begins=[0, 5]), dict(eta_max=2.0)]
train_dataloader = dict(batch_size=8, dataset=dict(split="train"))
linking = "default"
randomness = dict(seed=0)
"""


@pytest.fixture
def write(tmp_path):
    def write_config(text: str, name: str = "example.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_project_loads(path):
    config = load_config(path, {"model.detector.num_samples": 3})
    assert config.model.detector.num_samples == 3
    assert config.train_dataloader.dataset.split == "train"


def test_there_are_configs():
    assert CONFIGS


def test_without_options_a_config_is_what_the_file_says(write):
    config = load_config(write(EXAMPLE))
    assert config.model.backbone.depth == 18
    assert config.train_dataloader.batch_size == 8


def test_imports_and_names_with_an_underscore_are_not_settings(write):
    text = "import math\nfrom pathlib import Path\n_size = 3\nmodel = dict(size=_size)\n"
    assert load_config(write(text)).model.size == 3


@pytest.mark.parametrize("name", ["example.yaml", "example.json", "example.pkl", "example.txt", "example"])
def test_only_python_files_are_configs(write, tmp_path, name):
    path = write(f"!!python/object/apply:os.mkdir ['{tmp_path}/ran']", name)
    with pytest.raises(ConfigError, match=rf"{name} is not a Python file: only \.py is read"):
        load_config(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("key", "message"), [("train_dataloadr", "did you mean 'train_dataloader'"), ("zzz", "known are .*train_cfg")]
)
def test_an_unknown_top_level_key_is_an_error_with_a_suggestion(write, key, message):
    with pytest.raises(ConfigError, match=rf"example\.py.*unknown key '{key}'; {message}"):
        load_config(write(f"{EXAMPLE}\n{key} = 1\n"))


@pytest.mark.parametrize(
    ("options", "read", "expected"),
    [
        ({"train_dataloader.batch_size": 2}, lambda c: c.train_dataloader.batch_size, 2),
        ({"train_cfg.max_epochs": 2}, None, None),
        ({"param_scheduler.1.eta_max": 5.0}, lambda c: [s.eta_max for s in c.param_scheduler], [1.0, 5.0]),
        ({"param_scheduler.0.begins": [1, 2]}, lambda c: c.param_scheduler[0].begins, [1, 2]),
        ({"model.backbone.width": 3}, lambda c: (c.model.backbone.depth, c.model.backbone.width), (18, 3)),
        ({"model.backbone.strides": [1, 1]}, lambda c: c.model.backbone.strides, [1, 1]),
        ({"load_from": "a.pth"}, lambda c: c.load_from, "a.pth"),
        ({"linking": "act"}, lambda c: c.linking, "act"),
        ({"protocol": "act"}, lambda c: c.protocol, "act"),
        ({"train_dataloader.pin_memory": True}, lambda c: c.train_dataloader.pin_memory, True),
        ({"train_dataloader.dataset.backend": "decord"}, lambda c: c.train_dataloader.dataset.backend, "decord"),
    ],
)
def test_options_change_settings(write, options, read, expected):
    if read is None:
        with pytest.raises(ConfigError, match="train_cfg is None"):
            load_config(write(EXAMPLE), options)
    else:
        assert read(load_config(write(EXAMPLE), options)) == expected


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("modl.backbone.depth", "unknown key 'modl'; did you mean 'model'"),
        ("model.bakbone.depth", "model: unknown key 'bakbone'; did you mean 'backbone'"),
        ("model.penalty.weight", "model.penalty is None, it has no 'weight'"),
        ("model.backbone.depth.more", "depth is 18, it has no 'more'"),
        ("model.backbone.strides.0", r"strides is \(1, 2\), it has no '0'"),
        ("randomness.sed", "randomness: unknown key 'sed'; did you mean 'seed'"),
        ("param_scheduler.0.eta_mx", "param_scheduler.0: unknown key 'eta_mx'; did you mean 'eta_max'"),
        ("param_scheduler.2.eta_max", "param_scheduler has 2 items, numbered from 0"),
        ("param_scheduler.first.eta_max", "param_scheduler has 2 items, numbered from 0"),
        ("param_scheduler.0.begins.1", "set the whole of param_scheduler.0.begins"),
    ],
)
def test_a_misspelt_option_is_an_error_that_names_it(write, option, message):
    with pytest.raises(ConfigError, match=rf"--cfg-options {option}: .*{message}"):
        load_config(write(EXAMPLE), {option: 1})


def test_options_that_contradict_each_other_are_an_error(write):
    with pytest.raises(ConfigError, match=r"model\.backbone, model\.backbone\.depth"):
        load_config(write(EXAMPLE), {"model.backbone": 3, "model.backbone.depth": 4})


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(ConfigError, match=f"there is no config {path}"):
            load_config(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = dict(", "SyntaxError"),
        ("model = dict(size=_size)", "NameError"),
        ("from mmengine.config import read_base\nwith read_base():\n    from .none import *", "none"),
        ("model = dict()\nmodel['detector'].update(size=1)", "KeyError.*detector"),
        ("train_cfg = dict(max_epochs=int('twelve'))", "ValueError.*twelve"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(write, text, message):
    with pytest.raises(ConfigError, match=rf"(?s)broken\.py cannot be read: .*{message}"):
        load_config(write(text, "broken.py"))


def test_a_dict_replaces_what_was_there(write):
    path = write(EXAMPLE)
    options = {"model.penalty": {"type": "a.C", "weight": 1}, "model.backbone": {"type": "a.D", "width": 8}}
    config = load_config(path, options)
    assert config.model.penalty == {"type": "a.C", "weight": 1}
    assert config.model.backbone == {"type": "a.D", "width": 8}
    assert options["model.penalty"] == {"type": "a.C", "weight": 1}


def test_a_dict_may_be_set_where_there_was_none(write):
    config = load_config(write(EXAMPLE), {"validation": {"split": "iid"}, "model.backbone.stem": {"kernel": 3}})
    assert config.validation == {"split": "iid"}
    assert config.model.backbone == {"type": "a.B", "depth": 18, "strides": (1, 2), "stem": {"kernel": 3}}


def test_options_leave_the_config_that_they_change_as_it_was(write):
    config = load_config(write(EXAMPLE))
    changed = with_options(config, {"train_dataloader.dataset.split": "iid", "model.backbone.depth": 50})
    assert (changed.train_dataloader.dataset.split, changed.model.backbone.depth) == ("iid", 50)
    assert (config.train_dataloader.dataset.split, config.model.backbone.depth) == ("train", 18)


@pytest.mark.parametrize(
    ("options", "is_another"),
    [
        ({"model.backbone.depth": 34}, True),
        ({"randomness.seed": 1}, True),
        ({"linking": "act"}, True),
        ({"param_scheduler": []}, True),
        ({"work_dir": "elsewhere"}, False),
        ({"progress": "plain"}, False),
        ({"validation": {"split": "iid"}}, False),
    ],
)
def test_the_digest_of_a_config_changes_with_what_numbers_depend_on(write, options, is_another):
    path = write(EXAMPLE)
    assert (config_digest(load_config(path, options)) != config_digest(load_config(path))) == is_another


def test_a_config_with_what_cannot_be_written_down_has_no_digest():
    with pytest.raises(ConfigError, match=r"array.* cannot be written down"):
        config_digest(Config({"model": {"weights": np.zeros(2)}}))


@pytest.mark.parametrize(("end", "is_same"), [("max_epochs", False), (12, True)])
def test_a_training_may_go_on_for_longer_unless_its_schedule_follows(end, is_same):
    def settings(max_epochs: int) -> dict:
        schedules = [{"type": "CosineAnnealingLR", "end": end}]
        wrapper = {"optimizer": {"lr": 0.1}}
        cfg = {"train_cfg": {"max_epochs": max_epochs}, "param_scheduler": schedules, "optim_wrapper": wrapper}
        return training_settings(Config(cfg))

    assert (settings(12) == settings(24)) == is_same
    assert settings(12)["optim_wrapper.optimizer.lr"] == 0.1
