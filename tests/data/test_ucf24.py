import logging
import pickle
import time

import numpy as np
import pytest

from stal.data.ucf24 import CLASSES, read_pyannot, read_ucf24
from stal.errors import AnnotationError, ConfigError, DataNotFoundError

BIKING, DIVING, SKIING = "Biking/v_Biking_g01_c01", "Diving/v_Diving_g01_c01", "Skiing/v_Skiing_g01_c01"


def tube(label, first, boxes):
    return {"label": label, "sf": first, "ef": first + len(boxes), "boxes": np.array(boxes, np.uint8)}


def annotation(class_name, num_frames, *tubes):
    """One video as pyannot.pkl has it: boxes (x, y, w, h) and numf of the smallest unsigned type."""
    label = CLASSES.index(class_name)
    return {"numf": np.uint8(num_frames), "label": label, "annotations": [tube(label, *t) for t in tubes]}


@pytest.fixture
def raw():
    return {
        np.str_(BIKING): annotation("Biking", 200, (198, [[200, 10, 100, 50], [201, 10, 100, 51]])),
        np.str_(DIVING): annotation("Diving", 9, (0, [[1, 1, 5, 6]]), (4, [[255, 2, 20, 7], [2, 239, 5, 1]])),
        np.str_(SKIING): annotation("Skiing", 5),
    }


@pytest.fixture
def root(tmp_path, raw):
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps(raw))
    (tmp_path / "testlist01.txt").write_bytes(f"{BIKING}\r\n{SKIING}.avi".encode())  # no end after the last line
    for name in (f"{BIKING}.avi", f"{DIVING}.mp4"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True)
        path.touch()
    (tmp_path / "videos" / SKIING).mkdir(parents=True)
    return tmp_path


def test_boxes_are_xyxy_without_the_overflow_of_uint8(root):
    biking, diving, _ = read_ucf24(root).videos
    assert biking.tubes[0].boxes.dtype == np.float32
    assert biking.tubes[0].boxes.tolist() == [[200, 10, 300, 60], [201, 10, 301, 61]]
    assert diving.tubes[1].boxes.tolist() == [[255, 2, 275, 9], [2, 239, 7, 240]]


def test_frames_are_zero_based_and_the_end_is_exclusive(root):
    biking, diving, skiing = read_ucf24(root).videos
    assert biking.tubes[0].frames.tolist() == [198, 199]
    assert [tube.frames.tolist() for tube in diving.tubes] == [[0], [4, 5]]
    assert [tube.id for tube in diving.tubes] == [0, 1]
    assert (biking.num_frames, diving.num_frames, skiing.num_frames) == (200, 9, 5)
    assert skiing.tubes == ()


def test_videos_are_found_as_files_of_several_kinds_and_as_folders_of_frames(root):
    annotations = read_ucf24(root)
    found = {video.key: video.path.relative_to(root / "videos").as_posix() for video in annotations.videos}
    assert found == {BIKING: f"{BIKING}.avi", DIVING: f"{DIVING}.mp4", SKIING: SKIING}
    assert {(video.height, video.width, video.fps) for video in annotations.videos} == {(240, 320, 25.0)}


def test_a_file_is_preferred_to_a_folder_of_its_frames(root):
    (root / "videos" / BIKING).mkdir()
    assert read_ucf24(root).videos[0].path.name == "v_Biking_g01_c01.avi"


@pytest.mark.parametrize(
    ("split", "keys"), [("train", [DIVING]), ("test", [BIKING, SKIING]), (None, [BIKING, DIVING, SKIING])]
)
def test_the_test_list_makes_the_splits(root, split, keys):
    assert [video.key for video in read_ucf24(root, split=split).videos] == keys


def test_labels_follow_the_alphabetical_class_names(root):
    annotations = read_ucf24(root)
    assert annotations.classes == CLASSES == tuple(sorted(CLASSES))
    assert len(CLASSES) == 24
    assert annotations.videos[1].tubes[0].label == CLASSES.index("Diving")


def test_chosen_classes_are_renumbered_in_their_order(root):
    annotations = read_ucf24(root, classes=["Skiing", "Diving"])
    assert annotations.classes == ("Skiing", "Diving")
    assert [video.key for video in annotations.videos] == [DIVING, SKIING]
    assert annotations.videos[0].tubes[0].label == 1


def test_every_path_can_be_given_on_its_own(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    paths = {"video_root": "videos", "annotation_file": "pyannot.pkl", "test_list": "testlist01.txt"}
    for name in paths.values():
        (root / name).rename(elsewhere / name)
    assert len(read_ucf24(root, **{key: str(elsewhere / name) for key, name in paths.items()}).videos) == 3


def test_annotations_are_read_without_videos(root):
    for path in (root / "videos").rglob("*.*"):
        path.unlink()
    annotations = read_pyannot(root / "pyannot.pkl")
    assert [video.key for video in annotations.videos] == [BIKING, DIVING, SKIING]
    assert [video.split for video in annotations.videos] == ["test", "train", "test"]
    assert annotations.videos[0].path.as_posix() == BIKING
    (root / "testlist01.txt").rename(root / "other.txt")
    (video,) = read_pyannot(root / "pyannot.pkl", test_list=root / "other.txt", split="test", classes=["Skiing"]).videos
    assert video.key == SKIING


def test_annotations_without_their_test_list_are_an_error(root):
    (root / "testlist01.txt").unlink()
    with pytest.raises(
        DataNotFoundError, match=r"testlist01\.txt: there is no such file.*beside them, see data/README"
    ):
        read_pyannot(root / "pyannot.pkl")


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("split", "val", "no split 'val'"),
        ("classes", ["Running"], "Running.*must be one of Basketball"),
        ("classes", ["Diving", "Diving"], "at most once"),
    ],
)
def test_an_unknown_choice_is_a_config_error(root, argument, value, message):
    with pytest.raises(ConfigError, match=message):
        read_ucf24(root, **{argument: value})


def test_missing_videos_are_counted_and_named(root):
    (root / "videos" / f"{DIVING}.mp4").unlink()
    with pytest.raises(DataNotFoundError) as error:
        read_ucf24(root)
    for text in ("1 of 3 videos", DIVING, str(root / "videos"), "data/README.md", "allow_missing=True"):
        assert text in str(error.value)


def test_missing_videos_can_be_allowed_and_are_logged(root, caplog):
    (root / "videos" / f"{DIVING}.mp4").unlink()
    with caplog.at_level(logging.DEBUG):
        annotations = read_ucf24(root, allow_missing=True)
    assert [video.key for video in annotations.videos] == [BIKING, SKIING]
    warning, names = caplog.records
    assert warning.levelname == "WARNING"
    assert "1 of 3" in warning.getMessage()
    assert names.levelname == "DEBUG"
    assert DIVING in names.getMessage()


def test_a_split_without_any_video_is_an_error_even_if_missing_ones_are_allowed(root):
    (root / "videos" / f"{DIVING}.mp4").unlink()
    with pytest.raises(DataNotFoundError, match="1 of 1 videos"):
        read_ucf24(root, split="train", allow_missing=True)


def test_absent_paths_are_named_at_once_and_fast(tmp_path):
    start = time.perf_counter()
    with pytest.raises(DataNotFoundError) as error:
        read_ucf24(tmp_path / "nothing", allow_missing=True)
    assert time.perf_counter() - start < 0.1
    for text in ("nothing/videos", "nothing/pyannot.pkl", "nothing/testlist01.txt", "data/README.md"):
        assert text in str(error.value)


def test_a_test_video_without_annotation_is_named(root):
    with (root / "testlist01.txt").open("a") as file:
        file.write("\nArchery/v_Archery_g01_c01.avi\n")
    with pytest.raises(AnnotationError, match=r"testlist01\.txt: 1 of 3 .*Archery/v_Archery_g01_c01"):
        read_ucf24(root)


def change_label(raw):
    raw[BIKING]["label"] = 3


def drop_boxes(raw):
    del raw[BIKING]["annotations"][0]["boxes"]


def flatten_boxes(raw):
    raw[BIKING]["annotations"][0]["boxes"] = np.zeros(8, np.uint8)


def lengthen(raw):
    raw[BIKING]["annotations"][0]["ef"] = 201


def shift_beyond_the_end(raw):
    raw[BIKING]["annotations"][0] |= {"sf": 199, "ef": 201}


def empty_box(raw):
    raw[BIKING]["annotations"][0]["boxes"][1, 2] = 0


def rename(raw):
    raw["Archery/v_Archery_g01_c01"] = raw[BIKING]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_label, r"Biking_g01_c01 has labels \[2, 3\] instead of 2"),
        (drop_boxes, "Biking_g01_c01 is not of the format of pyannot.pkl"),
        (flatten_boxes, "Biking_g01_c01 is not of the format of pyannot.pkl"),
        (lengthen, "Biking_g01_c01, frames 198 to 201"),
        (shift_beyond_the_end, "Biking_g01_c01.* frame 200"),
        (empty_box, "Biking_g01_c01, frames 198 to 200.*box 1"),
        (rename, "Archery_g01_c01 is of none of the 24 classes"),
        (lambda raw: raw.clear(), "not a dict of videos"),
        (lambda raw: raw.update(db={}), "the file with class names"),
    ],
)
def test_a_broken_annotation_is_named(root, raw, damage, message):
    damage(raw)
    (root / "pyannot.pkl").write_bytes(pickle.dumps(raw))
    with pytest.raises(AnnotationError, match=message):
        read_ucf24(root)


@pytest.fixture
def real_paths(shared):
    return {
        "annotation_file": shared / "annotations/ucf24/pyannot.pkl",
        "test_list": shared / "annotations/ucf24/testlist01.txt",
    }


@pytest.mark.data
def test_the_real_annotations_have_the_published_counts(real_paths, tmp_path):
    for key in pickle.loads(real_paths["annotation_file"].read_bytes(), encoding="latin1"):
        path = tmp_path / f"{key}.avi"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    annotations = read_ucf24(video_root=tmp_path, **real_paths)
    tubes = [tube for video in annotations.videos for tube in video.tubes]
    boxes = np.concatenate([tube.boxes for tube in tubes])
    assert (len(annotations.videos), len(tubes), len(boxes)) == (3194, 4458, 573862)
    assert len(annotations.of_split("train").videos) == 2284
    assert len(annotations.of_split("test").videos) == 910
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= 320
    assert boxes[:, 3].max() <= 240


@pytest.mark.data
def test_the_real_videos_that_are_here_are_found(shared, real_paths):
    annotations = read_ucf24(video_root=shared / "media/ucf24_real/videos", allow_missing=True, **real_paths)
    assert len(annotations.videos) == 118
    assert {video.key.split("/")[0] for video in annotations.videos} == {"Biking", "CliffDiving", "Skiing"}
