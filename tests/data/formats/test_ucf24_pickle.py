import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.data.formats.ucf24_annotations import CLASSES
from stal.data.formats.ucf24_pickle import read_pyannot
from stal.errors import AnnotationError, ConfigError, DataNotFoundError

BIKING, DIVING, SKIING = "Biking/v_Biking_g01_c01", "Diving/v_Diving_g01_c01", "Skiing/v_Skiing_g01_c01"
Raw = dict[str, Any]


def tube(label: int, first: int, boxes: list[list[int]]) -> Raw:
    return {"label": label, "sf": first, "ef": first + len(boxes), "boxes": np.array(boxes, np.uint8)}


def annotation(class_name: str, num_frames: int, *tubes: tuple[int, list[list[int]]]) -> Raw:
    """One video as pyannot.pkl has it: boxes (x, y, w, h) and numf of the smallest unsigned type."""
    label = CLASSES.index(class_name)
    return {"numf": np.uint8(num_frames), "label": label, "annotations": [tube(label, *t) for t in tubes]}


@pytest.fixture
def raw() -> Raw:
    return {
        np.str_(SKIING): annotation("Skiing", 5),
        np.str_(BIKING): annotation("Biking", 200, (198, [[200, 10, 100, 50], [201, 10, 100, 51]])),
        np.str_(DIVING): annotation("Diving", 9, (0, [[1, 1, 5, 6]]), (4, [[255, 2, 20, 7], [2, 239, 5, 1]])),
    }


@pytest.fixture
def path(tmp_path: Path, raw: Raw) -> Path:
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps(raw))
    (tmp_path / "testlist01.txt").write_bytes(f"{BIKING}\r\n{SKIING}.avi".encode())  # no end after the last line
    return tmp_path / "pyannot.pkl"


@pytest.fixture
def with_names(tmp_path: Path, raw: Raw) -> Raw:
    """The pickle with class names; its train split lists a video that is not annotated."""
    return {"db": raw, "trainvideos": [DIVING, "Diving/v_Diving_g19_c02"], "classes": list(CLASSES)}


def test_boxes_are_xyxy_without_the_overflow_of_uint8(path: Path) -> None:
    biking, diving, _ = read_pyannot(path).videos
    assert biking.tubes[0].boxes.dtype == np.float32
    assert biking.tubes[0].boxes.tolist() == [[200, 10, 300, 60], [201, 10, 301, 61]]
    assert diving.tubes[1].boxes.tolist() == [[255, 2, 275, 9], [2, 239, 7, 240]]


def test_frames_are_zero_based_and_the_end_is_exclusive(path: Path) -> None:
    biking, diving, skiing = read_pyannot(path).videos
    assert biking.tubes[0].frames.tolist() == [198, 199]
    assert [tube.frames.tolist() for tube in diving.tubes] == [[0], [4, 5]]
    assert [tube.id for tube in diving.tubes] == [0, 1]
    assert (biking.num_frames, diving.num_frames, skiing.num_frames) == (200, 9, 5)
    assert skiing.tubes == ()


def test_videos_have_their_key_as_path_and_the_size_of_ucf101(path: Path) -> None:
    videos = read_pyannot(path).videos
    assert [(video.key, video.path.as_posix()) for video in videos] == [(key, key) for key in (BIKING, DIVING, SKIING)]
    assert {(video.height, video.width, video.fps) for video in videos} == {(240, 320, None)}


@pytest.mark.parametrize(
    ("split", "keys"), [("train", [DIVING]), ("test", [BIKING, SKIING]), (None, [BIKING, DIVING, SKIING])]
)
def test_the_test_list_beside_the_annotations_makes_the_splits(path: Path, split: str | None, keys: list[str]) -> None:
    assert [video.key for video in read_pyannot(path, split=split).videos] == keys
    path.with_name("testlist01.txt").rename(path.with_name("other.txt"))
    videos = read_pyannot(path, test_list=path.with_name("other.txt"), split=split).videos
    assert [video.key for video in videos] == keys


def test_labels_follow_the_alphabetical_class_names(path: Path) -> None:
    annotations = read_pyannot(path)
    assert annotations.classes == CLASSES == tuple(sorted(CLASSES))
    assert len(CLASSES) == 24
    assert annotations.videos[1].tubes[0].label == CLASSES.index("Diving")


def test_chosen_classes_are_renumbered_in_their_order(path: Path) -> None:
    annotations = read_pyannot(path, classes=["Skiing", "Diving"])
    assert annotations.classes == ("Skiing", "Diving")
    assert [video.key for video in annotations.videos] == [DIVING, SKIING]
    assert {tube.label for tube in annotations.videos[0].tubes} == {1}


def test_the_pickle_with_class_names_says_its_splits_itself(
    path: Path, with_names: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(pickle.dumps(with_names))
    path.with_name("testlist01.txt").unlink()
    with caplog.at_level(logging.INFO):
        videos = read_pyannot(path).videos
    assert [(video.key, video.split) for video in videos] == [(BIKING, "test"), (DIVING, "train"), (SKIING, "test")]
    assert "1 of 2 train videos are not annotated" in caplog.text
    assert [video.key for video in read_pyannot(path, split="train").videos] == [DIVING]


def test_a_test_list_that_is_given_goes_before_the_splits_in_the_file(path: Path, with_names: Raw) -> None:
    path.write_bytes(pickle.dumps(with_names))
    (path.parent / "mine.txt").write_text(DIVING)
    (video,) = read_pyannot(path, test_list=path.parent / "mine.txt", split="test").videos
    assert video.key == DIVING


def test_annotations_without_their_test_list_are_an_error(path: Path) -> None:
    path.with_name("testlist01.txt").unlink()
    with pytest.raises(
        DataNotFoundError, match=r"testlist01\.txt: there is no such file.*beside them, see data/README"
    ):
        read_pyannot(path)


def test_a_test_video_without_annotation_is_named(path: Path) -> None:
    with path.with_name("testlist01.txt").open("a") as file:
        file.write("\nArchery/v_Archery_g01_c01.avi\n")
    with pytest.raises(AnnotationError, match=r"testlist01\.txt: 1 of 3 .*Archery/v_Archery_g01_c01.*not that of all"):
        read_pyannot(path)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("split", "val", "no split 'val'"),
        ("classes", ["Running"], "Running.*must be one of Basketball"),
        ("classes", ["Diving", "Diving"], "at most once"),
    ],
)
def test_an_unknown_choice_is_a_config_error(path: Path, argument: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_pyannot(path, **{argument: value})


def set_in(*place: Any, value: Any) -> Callable[[Raw], None]:
    """Return what changes one value of the raw annotations."""

    def change(raw: Raw) -> None:
        for key in place[:-1]:
            raw = raw[key]
        raw[place[-1]] = value

    return change


TUBE = (BIKING, "annotations", 0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (set_in(BIKING, "label", value=3), r"Biking_g01_c01 has labels \[2, 3\] instead of 2"),
        (set_in(*TUBE, "label", value=24), r"Biking_g01_c01 has labels \[2, 24\] instead of 2"),
        (set_in(BIKING, value=3), "Biking_g01_c01 is not of the format of pyannot.pkl: found a int"),
        (set_in(BIKING, "annotations", value=3), "format of pyannot.pkl: `annotations` is a int, not a list"),
        (set_in(BIKING, "annotations", value=[3]), "format of pyannot.pkl: found a int that is no dict of label, sf"),
        (set_in(BIKING, "numf", value="9"), "format of pyannot.pkl: `numf` is a str, not a whole number"),
        (set_in(BIKING, "numf", value=10**30), "`numf` is 1000"),
        (set_in(BIKING, "numf", value=0), "Biking_g01_c01: 0 frames of 240 x 320: all must be positive"),
        (set_in(*TUBE, "sf", value=-1), "`sf` is -1, not a whole number"),
        (set_in(*TUBE, "sf", value=np.array([1, 2])), "`sf` is a PickledArray, not a whole number"),
        (lambda raw: raw[BIKING]["annotations"][0].pop("boxes"), "Biking_g01_c01 is not of the format of pyannot.pkl"),
        (set_in(*TUBE, "boxes", value=[[1, 2, 3, 4]]), "Biking_g01_c01, frames 198 to 200: the boxes are a list"),
        (set_in(*TUBE, "boxes", value=np.zeros(8, np.uint8)), r"the boxes are uint8\[8\], not numbers \(T, 4\)"),
        (set_in(*TUBE, "boxes", value=np.zeros((2, 4), "S3")), r"the boxes are \|S3\[2, 4\]"),
        (set_in(*TUBE, "boxes", value=np.full((2, 4), np.nan)), "frames 198 to 200: .*box 0 is .nan, nan"),
        (set_in(*TUBE, "ef", value=201), "Biking_g01_c01, frames 198 to 201: a tube has 2 boxes; the end is exclusive"),
        (set_in(BIKING, "numf", value=199), "Biking_g01_c01.* frame 199"),
        (lambda raw: raw[BIKING]["annotations"][0]["boxes"].__setitem__((1, 2), 0), "frames 198 to 200.*box 1"),
        (lambda raw: raw.update({"Archery/v": raw[BIKING]}), "Archery/v is of none of the 24 classes"),
        (lambda raw: raw.update({3: raw[BIKING]}), "a key is a int, not the name of a video"),
        (lambda raw: raw.clear(), "holds a dict, not a dict of videos"),
        (lambda raw: raw.update(db={}), "has `db`, but not the videos in it, `classes` and `trainvideos` beside it"),
    ],
)
def test_a_broken_annotation_is_named(path: Path, raw: Raw, damage: Callable[[Raw], None], message: str) -> None:
    damage(raw)
    path.write_bytes(pickle.dumps(raw))
    with pytest.raises(AnnotationError, match=rf"pyannot\.pkl: .*{message}"):
        read_pyannot(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (set_in("db", value=[]), "not the videos in it"),
        (lambda raw: raw.pop("trainvideos"), "`trainvideos` beside it"),
        (set_in("trainvideos", value=[3]), "`trainvideos` is not a list of videos"),
        (set_in("classes", value=list(CLASSES[::-1])), "`classes` are not the 24 of UCF101-24"),
        (set_in("classes", value=None), "`classes` are not the 24 of UCF101-24"),
        (set_in("db", BIKING, "label", value=3), "Biking_g01_c01 has labels"),
    ],
)
def test_a_broken_pickle_with_class_names_is_named(
    path: Path, with_names: Raw, damage: Callable[[Raw], None], message: str
) -> None:
    damage(with_names)
    path.write_bytes(pickle.dumps(with_names))
    with pytest.raises(AnnotationError, match=rf"pyannot\.pkl: .*{message}"):
        read_pyannot(path)


@pytest.mark.data
def test_both_real_pickles_have_the_same_annotations_and_the_published_counts(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shared / "annotations/ucf24"
    annotations = read_pyannot(folder / "pyannot.pkl")
    tubes = [tube for video in annotations.videos for tube in video.tubes]
    frames = np.concatenate([tube.frames for tube in tubes])
    boxes = np.concatenate([tube.boxes for tube in tubes])
    assert (len(annotations.videos), len(tubes), len(boxes)) == (3194, 4458, 573862)
    assert [len(annotations.of_split(split).videos) for split in ("train", "test")] == [2284, 910]
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= 320
    assert boxes[:, 3].max() <= 240

    with caplog.at_level(logging.INFO):
        with_names = read_pyannot(folder / "pyannot_with_class_names.pkl")
    assert "6 of 2290 train videos are not annotated" in caplog.text
    others = [tube for video in with_names.videos for tube in video.tubes]
    assert [(video.key, video.split) for video in with_names.videos] == [
        (video.key, video.split) for video in annotations.videos
    ]
    assert [tube.label for tube in others] == [tube.label for tube in tubes]
    np.testing.assert_array_equal(np.concatenate([tube.frames for tube in others]), frames)
    np.testing.assert_array_equal(np.concatenate([tube.boxes for tube in others]), boxes)
