"""Label maps: the two layouts of AVA, and nothing else."""

from pathlib import Path

import pytest

from stal.data.formats.label_map import read_label_map, write_label_map
from stal.errors import AnnotationError, DataNotFoundError


def save(folder: Path, text: str) -> Path:
    path = folder / "map.pbtxt"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('item {\n  name: "b"\n  id: 12\n}\nitem {\n  name: "a {x}"\n  id: 3\n}\n', {3: "a {x}", 12: "b"}),
        ('label {\n  name: "b"\n  label_id: 1\n  label_type: OBJECT\n}\n', {1: "b"}),
        ('item { id: 0 name: "id: 7" display_name: "z" }', {0: "id: 7"}),
    ],
)
def test_names_by_id_in_order(tmp_path: Path, text: str, names: dict[int, str]) -> None:
    read = read_label_map(save(tmp_path, text))
    assert read == names
    assert list(read) == sorted(read)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a label map"),
        ("item {", "not a label map"),
        ('item { name: "a" id: 1 } x', "got 'x'"),
        ('item { name: "a" }', "no name or no id"),
        ("item { id: 1 }", "no name or no id"),
        ('item { name: "a" id: 99999999999 }', "no name or no id"),
        ('item { name: "a" id: 1 } item { name: "b" id: 1 }', "the id 1 is there twice"),
        ('item { name: "a" id: 1 } item { name: "a" id: 2 }', "not all different"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_label_map(save(tmp_path, text))


def test_files_that_are_no_text_or_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "map.pbtxt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnnotationError, match=r"map\.pbtxt: not a text in UTF-8"):
        read_label_map(tmp_path / "map.pbtxt")
    with pytest.raises(DataNotFoundError, match=r"nothing\.pbtxt"):
        read_label_map(tmp_path / "nothing.pbtxt")


def test_names_with_quotes_and_braces_come_back(tmp_path: Path) -> None:
    names = ['say "hi"', "back\\slash", "{", "}", ""]
    write_label_map(names, tmp_path / "map.pbtxt")
    assert list(read_label_map(tmp_path / "map.pbtxt").values()) == names
    with pytest.raises(AnnotationError, match="not printable"):
        write_label_map(["a\nb"], tmp_path / "map.pbtxt")
