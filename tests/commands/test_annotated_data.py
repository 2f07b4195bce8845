from pathlib import Path

import pytest

from stal.commands.annotated_data import read_annotated_data
from stal.data.formats.tubes_json import read_tubes_json, write_tubes_json
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations, Video


@pytest.fixture
def tubes_json(tmp_path: Path) -> Path:
    path = tmp_path / "tubes.json"
    write_tubes_json(Annotations(("a",), (Video("v", tmp_path / "v.avi", 3, 4, 5, split="train"),)), path)
    return path


def config(folder: Path, data: str) -> Path:
    path = folder / "config.py"
    path.write_text(f"from stal.data.formats.tubes_json import read_tubes_json\n{data}\n")
    return path


def test_the_data_of_a_config_are_those_of_its_file(tubes_json: Path, tmp_path: Path) -> None:
    path = config(tmp_path, "data = dict(type=read_tubes_json, path='elsewhere.json')")
    by_config = read_annotated_data(path, {"data.path": str(tubes_json)})
    by_file = read_annotated_data(tubes_json)
    assert [video.key for video in by_config.videos] == [video.key for video in by_file.videos] == ["v"]
    assert by_file.classes == read_tubes_json(tubes_json).classes


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("nowhere.json", DataNotFoundError, "there is no such file"),
        ("nowhere.py", ConfigError, "there is no config"),
        ("labels.pkl", AnnotationError, r"tools/import_annotations\.py --format FORMAT .*labels\.pkl --out"),
        ("", AnnotationError, r"neither a config \(\.py\)"),
    ],
)
def test_what_is_neither_config_nor_annotation_file_is_refused_with_the_way_out(
    tmp_path: Path, name: str, error: type[Exception], said: str
) -> None:
    (tmp_path / "labels.pkl").write_bytes(b"")
    with pytest.raises(error, match=said):
        read_annotated_data(tmp_path / name)


def test_settings_of_a_file_that_is_no_config_are_refused(tubes_json: Path) -> None:
    with pytest.raises(ConfigError, match=r"--cfg-options data\.path: .*is no config"):
        read_annotated_data(tubes_json, {"data.path": "x"})


def test_json_of_another_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text('{"images": []}')
    with pytest.raises(AnnotationError, match=r"coco\.json.*tools/import_annotations\.py"):
        read_annotated_data(tmp_path / "coco.json")


@pytest.mark.parametrize(
    ("data", "said"), [("", "has no `data`"), ("data = dict(a=1)", "gives a dict, not Annotations")]
)
def test_a_config_without_data_is_refused(tmp_path: Path, data: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_annotated_data(config(tmp_path, data))
