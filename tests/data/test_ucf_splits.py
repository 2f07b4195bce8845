import logging
from pathlib import Path

import pytest

from stal.data.ucf_splits import read_class_index, read_split_list, read_ucf_splits, with_splits
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations, Video

ARCHERY, BIKING, DIVING = "Archery/v_Archery_g08_c01", "Biking/v_Biking_g08_c01", "Diving/v_Diving_g01_c01"


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """The lists of fold 2 as UCF101 has them: DOS line ends, numbers of classes for the training videos alone."""
    folder = tmp_path / "ucfTrainTestlist"
    folder.mkdir()
    (folder / "classInd.txt").write_bytes(b"1 Archery\r\n2 Biking\r\n3 Diving\r\n")
    (folder / "trainlist02.txt").write_bytes(f"{BIKING}.avi 2\r\n{DIVING}.avi 3\r\n".encode())
    (folder / "testlist02.txt").write_bytes(f"{ARCHERY}.avi\r\n".encode())
    return folder


def test_the_official_lists_are_read_with_their_dos_line_ends(lists: Path) -> None:
    assert read_split_list(lists / "trainlist02.txt") == {BIKING: 2, DIVING: 3}
    assert read_split_list(lists / "testlist02.txt") == {ARCHERY: None}
    assert read_class_index(lists / "classInd.txt") == {"Archery": 1, "Biking": 2, "Diving": 3}
    assert read_ucf_splits(lists, fold=2) == {BIKING: "train", DIVING: "train", ARCHERY: "test"}


@pytest.mark.parametrize(
    "content",
    [f"{BIKING}\n{DIVING}\n", f"{BIKING}.avi\r\n{DIVING}.avi", f"\ufeff{BIKING}\n\n  {DIVING}  \n"],
)
def test_a_list_may_lack_suffixes_and_the_last_line_end(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.txt").write_text(content, encoding="utf-8")
    assert list(read_split_list(tmp_path / "list.txt")) == [BIKING, DIVING]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file has no lines"),
        (b" \r\n", "the file has no lines"),
        (b"\xff\xfe", "not a text in UTF-8"),
        (b"Biking/v 2 3\n", "line 1: 'Biking/v 2 3' is not a video such as"),
        (b"Biking/v x\n", "line 1: 'Biking/v x' is not a video"),
        (b"\nv_Biking.avi 2\n", "line 2: 'v_Biking.avi 2' is not a video"),
        (b"Biking/.avi\n", "line 1: 'Biking/.avi' is not a video"),
        (b"Biking/v.avi 2\nBiking/v 2\n", "line 2: Biking/v is listed twice"),
    ],
)
def test_what_is_no_list_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(AnnotationError, match=rf"list\.txt.*{message}"):
        read_split_list(tmp_path / "list.txt")


@pytest.mark.parametrize("content", ["2 Biking\n", "1 Archery\n1 Biking\n", "1 Archery\n2 Archery\n", "Archery\n"])
def test_numbers_of_classes_that_are_not_one_two_and_so_on_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "classInd.txt").write_text(content)
    with pytest.raises(AnnotationError, match=r"classInd\.txt, line \d: .* is not `\d <name>`"):
        read_class_index(tmp_path / "classInd.txt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("testlist02.txt", f"{ARCHERY}.avi\r\n{BIKING}.avi\r\n", "1 videos are in testlist02.txt too, .*v_Biking_g08"),
        (
            "trainlist02.txt",
            f"{BIKING}.avi 3\r\n",
            "v_Biking_g08_c01 has the class number 3, but classInd.txt .* has 2",
        ),
        ("testlist02.txt", "Yodeling/v_Yodeling_g01_c01.avi\r\n", "number None, but classInd.txt beside it has None"),
    ],
)
def test_lists_at_odds_with_each_other_are_refused(lists: Path, name: str, content: str, message: str) -> None:
    (lists / name).write_bytes(content.encode())
    with pytest.raises(AnnotationError, match=message):
        read_ucf_splits(lists, fold=2)


def test_missing_lists_and_folds_are_named(lists: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"missing are .*trainlist03\.txt, .*testlist03\.txt; data/README\.md"):
        read_ucf_splits(lists, fold=3)
    with pytest.raises(ConfigError, match="UCF101 has no fold 4; it has 1, 2, 3"):
        read_ucf_splits(lists, fold=4)
    with pytest.raises(DataNotFoundError, match="there is no such file"):
        read_split_list(lists / "none.txt")


def videos(*keys: str) -> Annotations:
    return Annotations(("Biking", "Diving"), tuple(Video(key, Path(key), 9, 240, 320) for key in keys))


def test_videos_get_their_splits_and_those_without_annotation_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    splits = {BIKING: "train", DIVING: "test", ARCHERY: "test"}
    with caplog.at_level(logging.INFO):
        assert [v.split for v in with_splits(videos(BIKING, DIVING), splits, Path("lists")).videos] == ["train", "test"]
        assert not caplog.records  # Archery is none of the classes
        with_splits(videos(BIKING), splits, Path("lists"))
    assert caplog.messages == ["lists: 1 of 2 videos of these classes are not annotated"]


def test_an_annotated_video_in_no_list_is_an_error() -> None:
    with pytest.raises(AnnotationError, match=r"lists: 1 of 2 annotated videos are neither .* is Diving/v_Diving"):
        with_splits(videos(BIKING, DIVING), {BIKING: "train"}, Path("lists"))
