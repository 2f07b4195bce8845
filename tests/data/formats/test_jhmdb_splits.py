from pathlib import Path

import pytest

from stal.data.formats.jhmdb_splits import read_jhmdb_splits
from stal.errors import AnnotationError, ConfigError, DataNotFoundError

CLASSES = ("catch", "wave")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "catch_test_split1.txt").write_bytes(b"Amazing_@2_(x)!+.avi 1\r\ntwo words.avi 2 \r\n\r\nunused.avi 0")
    (tmp_path / "wave_test_split1.txt").write_bytes(b"a.avi 2\nb.avi 1\n")
    (tmp_path / "run_test_split1.txt").write_bytes(b"c.avi 2\n")
    (tmp_path / "catch_test_split2.txt").write_bytes(b"a.avi 1\n")
    (tmp_path / "wave_test_split2.txt").touch()
    return tmp_path


def test_lists_divide_the_videos_of_the_classes(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        splits = read_jhmdb_splits(folder, fold=1, classes=CLASSES)
    assert list(splits.items()) == [
        ("catch/Amazing_@2_(x)!+", "train"),
        ("catch/two words", "test"),
        ("wave/a", "test"),
        ("wave/b", "train"),
    ]
    assert "1 of 5 videos are not used in fold 1" in caplog.text


def test_a_list_may_be_empty_but_not_all_of_them(folder: Path) -> None:
    assert read_jhmdb_splits(folder, fold=2, classes=CLASSES) == {"catch/a": "train"}
    with pytest.raises(AnnotationError, match="the 1 lists of fold 2 name no video"):
        read_jhmdb_splits(folder, fold=2, classes=CLASSES[1:])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.avi 3\n", "line 1: 'a.avi 3' is not the name of a video and 0, 1 or 2"),
        (b"a.avi 1\nb.avi\n", "line 2: 'b.avi' is not"),
        (b"1\n", "line 1: '1' is not"),
        (b".avi 1\n", "line 1"),
        (b"../a.avi 1\n", "line 1"),
        (b"..\\a.avi 1\n", "line 1"),
        (b"a.avi 1\na.avi 2\n", "line 2: a is listed twice"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_broken_list_is_named(folder: Path, content: bytes, message: str) -> None:
    (folder / "wave_test_split1.txt").write_bytes(content)
    with pytest.raises(AnnotationError, match=rf"wave_test_split1\.txt.*{message}"):
        read_jhmdb_splits(folder, fold=1, classes=CLASSES)


def test_missing_lists_are_counted_and_named(folder: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"2 of the 2 lists of fold 3 .* first is catch_test_split3\.txt"):
        read_jhmdb_splits(folder, fold=3, classes=CLASSES)
    with pytest.raises(DataNotFoundError, match="1 of the 3 lists of fold 2"):
        read_jhmdb_splits(folder, fold=2, classes=(*CLASSES, "run"))


@pytest.mark.parametrize("fold", [0, 4])
def test_there_are_three_folds(folder: Path, fold: int) -> None:
    with pytest.raises(ConfigError, match=f"has no fold {fold}; it has 1, 2 and 3"):
        read_jhmdb_splits(folder, fold=fold, classes=CLASSES)
