"""The sets that a test is asked for by name or by path."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from stal.data.formats.tubes_json import read_tubes_json, write_tubes_json
from stal.engine.tested_sets import read_tested_sets
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations, Tube, Video

TUBES = (Tube(1, np.arange(3), np.tile(np.array([0, 0, 9, 9], np.float32), (3, 1))),)
VIDEOS = tuple(
    Video(f"{split}/{number}", Path(f"{number}.mp4"), 5, 20, 30, fps=10.0, tubes=TUBES, split=split)
    for split in ("train", "iid", "shifted")
    for number in range(2)
)
ANNOTATIONS = Annotations(("run", "jump"), VIDEOS)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write_tubes_json(ANNOTATIONS, tmp_path / "data.json")
    data = {"type": read_tubes_json, "path": str(tmp_path / "data.json")}
    return Config({"data": data, "model": {"detector": {"num_classes": 2}}})


def shifted_folder(folder: Path, annotations: Annotations = ANNOTATIONS) -> str:
    write_tubes_json(annotations, folder / "annotations.json")
    return str(folder)


def test_splits_folders_and_files_are_read_in_the_order_that_is_asked_for(config: Config, tmp_path: Path) -> None:
    folder = shifted_folder(tmp_path / "ucf24_swap")
    file = tmp_path / "stripe.json"
    write_tubes_json(replace(ANNOTATIONS, videos=VIDEOS[:1]), file)
    sets = read_tested_sets(config, ["shifted", folder, str(file), "iid", str(tmp_path / "data.json")])
    assert [tested.name for tested in sets] == ["shifted", "ucf24_swap", "stripe", "iid", "data"]
    assert [tested.given for tested in sets][:2] == ["shifted", folder]
    keys = [[video.key for video in tested.annotations.videos] for tested in sets]
    assert keys[0] == ["shifted/0", "shifted/1"]
    assert keys[1] == [video.key for video in VIDEOS]
    assert keys[2] == ["train/0"]


def test_the_annotations_of_a_folder_have_its_name(config: Config, tmp_path: Path) -> None:
    folder = shifted_folder(tmp_path / "swap")
    (tested,) = read_tested_sets(config, [f"{folder}/annotations.json"])
    assert tested.name == "swap"


def test_a_split_goes_before_a_folder_of_its_name(config: Config, tmp_path: Path, monkeypatch) -> None:
    shifted_folder(tmp_path / "iid")
    monkeypatch.chdir(tmp_path)
    (tested,) = read_tested_sets(config, ["iid"])
    assert len(tested.annotations.videos) == 2


def test_the_folder_one_is_in_has_a_name(config: Config, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(shifted_folder(tmp_path / "swap"))
    (tested,) = read_tested_sets(config, ["."])
    assert tested.name == "swap"


def test_what_is_neither_a_split_nor_a_path_is_an_error_that_names_the_splits(config: Config) -> None:
    with pytest.raises(AnnotationError, match=r"'shiftd', and there is no such folder.*\['iid', 'shifted', 'train'\]"):
        read_tested_sets(config, ["iid", "shiftd"])


def test_a_folder_without_annotations_is_an_error(config: Config, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFoundError, match=r"empty: the folder has no annotations\.json; name one"):
        read_tested_sets(config, [str(tmp_path / "empty")])


@pytest.mark.parametrize("classes", [("jump", "run"), ("run", "jump", "swim")])
def test_other_classes_are_an_error_that_names_both_lists(config: Config, tmp_path: Path, classes) -> None:
    folder = shifted_folder(tmp_path / "swap", replace(ANNOTATIONS, classes=classes))
    with pytest.raises(AnnotationError) as error:
        read_tested_sets(config, [folder])
    for text in ("swap/annotations.json has the classes", ", ".join(classes), "have run, jump:", "test with a config"):
        assert text in str(error.value)


def test_a_set_without_videos_is_an_error(config: Config, tmp_path: Path) -> None:
    folder = shifted_folder(tmp_path / "swap", replace(ANNOTATIONS, videos=()))
    with pytest.raises(AnnotationError, match=r"swap/annotations\.json has no videos; make the set anew"):
        read_tested_sets(config, [folder])


def test_two_sets_of_one_name_are_an_error(config: Config, tmp_path: Path) -> None:
    folders = [shifted_folder(tmp_path / parent / "swap") for parent in ("a", "b")]
    with pytest.raises(ConfigError, match="two sets are named 'swap'"):
        read_tested_sets(config, ["iid", *folders])
