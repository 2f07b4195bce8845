from pathlib import Path

import pytest

from stal.errors import ConfigError
from stal.experiments.yaml_node import load_yaml


def load(folder: Path, text: str):
    path = folder / "file.yaml"
    path.write_text(text)
    return load_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("2.5E3", 2500.0), ("-1e2", -100.0), ("0.5", 0.5), ("4", 4)]
)
def test_numbers_are_numbers(tmp_path, text, value):
    loaded = load(tmp_path, f"a: {text}").value["a"]
    assert (loaded, type(loaded)) == (value, type(value))


@pytest.mark.parametrize("text", ["e4", "1e", "scenes", "1e4x"])
def test_texts_that_look_like_numbers_are_texts(tmp_path, text):
    assert load(tmp_path, f"a: {text}").value == {"a": text}


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "x: {b: 1, b: 2}"])
def test_a_key_that_is_there_twice_is_an_error(tmp_path, text):
    with pytest.raises(ConfigError, match=r"file\.yaml: not a YAML file.*'[ab]' is there twice"):
        load(tmp_path, text)


def test_a_mapping_may_be_merged_into_another_that_changes_it(tmp_path):
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n"
    assert load(tmp_path, text).value["b"] == {"x": 1, "y": 3}


def test_merging_may_go_on_from_a_mapping_that_is_deeper(tmp_path):
    text = "a: &a {x: 1}\nb: {c: {d: &d {<<: *a, x: 2}}}\ne: {<<: *d, z: 3}\n"
    value = load(tmp_path, text).value
    assert value["e"] == {"x": 2, "z": 3}
    assert value["b"] == {"c": {"d": {"x": 2}}}


def test_a_missing_file_and_a_broken_one_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*experiments/"):
        load_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match=r"file\.yaml: not a YAML file(.|\n)*line 1"):
        load(tmp_path, "a: [1, 2")
