import logging
import pickle
import time

import numpy as np
import pytest
from scipy.io import savemat

from stal.data.formats.ucf24_annotations import CLASSES
from stal.data.ucf24 import read_ucf24
from stal.errors import AnnotationError, ConfigError, DataNotFoundError

BIKING, DIVING, SKIING = "Biking/v_Biking_g01_c01", "Diving/v_Diving_g01_c01", "Skiing/v_Skiing_g01_c01"
ARCHERY = "Archery/v_Archery_g01_c01"


def annotation(key):
    """One video as pyannot.pkl has it, with a box on frame 4 of 9."""
    label = CLASSES.index(key.split("/")[0])
    tube = {"label": label, "sf": 4, "ef": 5, "boxes": np.array([[200, 10, 100, 50]], np.uint8)}
    return {"numf": np.uint8(9), "label": label, "annotations": [tube]}


@pytest.fixture
def root(tmp_path):
    raw = {np.str_(key): annotation(key) for key in (BIKING, DIVING, SKIING)}
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps(raw))
    (tmp_path / "testlist01.txt").write_bytes(f"{BIKING}\r\n{SKIING}.avi".encode())  # no end after the last line
    for name in (f"{BIKING}.avi", f"{DIVING}.mp4"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True)
        path.touch()
    (tmp_path / "videos" / SKIING).mkdir(parents=True)
    return tmp_path


def write_official_lists(folder, fold, train, test):
    """Write the lists of a fold, with a video of a class that has no tubes, and one that is not annotated."""
    folder.mkdir(exist_ok=True)
    classes = ("Archery", "Biking", "Diving", "Skiing")
    index = {name: number for number, name in enumerate(classes, start=1)}
    (folder / "classInd.txt").write_bytes("".join(f"{index[name]} {name}\r\n" for name in classes).encode())
    train = [*train, "Biking/v_Biking_g99_c99"]
    lines = "".join(f"{key}.avi {index[key.split('/')[0]]}\r\n" for key in train)
    (folder / f"trainlist0{fold}.txt").write_bytes(lines.encode())
    (folder / f"testlist0{fold}.txt").write_bytes("\r\n".join(f"{key}.avi" for key in (*test, ARCHERY)).encode())


def splits_of(annotations):
    return {video.key: video.split for video in annotations.videos}


def test_videos_are_found_as_files_of_several_kinds_and_as_folders_of_frames(root):
    annotations = read_ucf24(root)
    found = {video.key: video.path.relative_to(root / "videos").as_posix() for video in annotations.videos}
    assert found == {BIKING: f"{BIKING}.avi", DIVING: f"{DIVING}.mp4", SKIING: SKIING}
    assert {(video.height, video.width, video.fps) for video in annotations.videos} == {(240, 320, None)}


def test_a_file_is_preferred_to_a_folder_of_its_frames(root):
    (root / "videos" / BIKING).mkdir()
    assert read_ucf24(root).videos[0].path.name == "v_Biking_g01_c01.avi"


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


@pytest.mark.parametrize(
    ("split", "keys"), [("train", [DIVING]), ("test", [BIKING, SKIING]), (None, [BIKING, DIVING, SKIING])]
)
def test_the_test_list_makes_the_splits_of_fold_1(root, split, keys):
    assert [video.key for video in read_ucf24(root, split=split).videos] == keys


def test_the_official_lists_make_the_splits_of_the_other_folds(root, caplog):
    write_official_lists(root / "ucfTrainTestlist", 2, train=[BIKING, SKIING], test=[DIVING])
    with caplog.at_level(logging.INFO):
        annotations = read_ucf24(root, fold=2)
    assert splits_of(annotations) == {BIKING: "train", DIVING: "test", SKIING: "train"}
    assert "ucfTrainTestlist: 1 of 4 videos of these classes are not annotated" in caplog.text
    assert [video.key for video in read_ucf24(root, fold=2, split="test").videos] == [DIVING]


def test_the_official_lists_can_make_the_splits_of_fold_1_too(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    write_official_lists(folder, 1, train=[SKIING], test=[BIKING, DIVING])
    (root / "testlist01.txt").unlink()
    assert splits_of(read_ucf24(root, split_lists=folder)) == {BIKING: "test", DIVING: "test", SKIING: "train"}


def test_an_annotated_video_that_the_official_lists_lack_is_named(root):
    write_official_lists(root / "ucfTrainTestlist", 3, train=[BIKING], test=[DIVING])
    with pytest.raises(AnnotationError, match=r"ucfTrainTestlist: 1 of 3 annotated videos are neither .*v_Skiing_g01"):
        read_ucf24(root, fold=3)


def test_a_list_of_test_videos_beside_official_lists_is_refused(root):
    for choice in ({"fold": 2}, {"split_lists": root}):
        with pytest.raises(ConfigError, match=r"test_list .*testlist01\.txt is .*; give one of them"):
            read_ucf24(root, test_list=root / "testlist01.txt", **choice)


def write_with_class_names(path, raw):
    path.write_bytes(pickle.dumps({"db": raw, "trainvideos": [DIVING], "classes": list(CLASSES)}))


def write_mat(path, raw):
    annot = np.zeros((1, len(raw)), [("num_imgs", "O"), ("name", "O"), ("tubes", "O")])
    for i, (key, video) in enumerate(raw.items()):
        tubes = np.zeros((1, 1), [("ef", "O"), ("sf", "O"), ("class", "O"), ("boxes", "O")])
        tubes[0, 0] = (5, 5, video["label"] + 1, video["annotations"][0]["boxes"])
        annot[0, i] = (9, str(key), tubes)
    savemat(path, {"annot": annot}, appendmat=False)


@pytest.mark.parametrize("write", [write_with_class_names, write_mat])
def test_the_kind_of_an_annotation_file_shows_in_its_content(root, write):
    expected = read_ucf24(root)
    path = root / "pyannot.pkl"
    write(path, pickle.loads(path.read_bytes()))
    annotations = read_ucf24(root)
    assert splits_of(annotations) == splits_of(expected)
    for video, other in zip(annotations.videos, expected.videos, strict=True):
        assert (video.path, video.num_frames) == (other.path, other.num_frames)
        assert video.tubes[0].frames.tolist() == other.tubes[0].frames.tolist() == [4]
        assert video.tubes[0].boxes.tolist() == other.tubes[0].boxes.tolist() == [[200, 10, 300, 60]]


def test_the_pickle_with_class_names_needs_no_test_list(root):
    path = root / "pyannot.pkl"
    write_with_class_names(path, pickle.loads(path.read_bytes()))
    (root / "testlist01.txt").unlink()
    assert splits_of(read_ucf24(root)) == {BIKING: "test", DIVING: "train", SKIING: "test"}


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("split", "val", "no split 'val'"),
        ("fold", 0, "no fold 0; it has 1, 2, 3"),
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


def test_an_absent_list_alone_is_named(root):
    (root / "testlist01.txt").unlink()
    with pytest.raises(
        DataNotFoundError, match=r"testlist01\.txt: there is no such file, and .*pyannot\.pkl does not say"
    ):
        read_ucf24(root)
    with pytest.raises(DataNotFoundError, match=r"missing are the test list .*mine\.txt \(looked for from"):
        read_ucf24(root, test_list=root / "mine.txt")
    with pytest.raises(DataNotFoundError, match=r"missing are the official lists .*ucfTrainTestlist"):
        read_ucf24(root, fold=2)


def test_a_broken_annotation_is_named(root):
    (root / "pyannot.pkl").write_bytes(pickle.dumps({BIKING: 3}))
    with pytest.raises(AnnotationError, match=r"pyannot\.pkl: video Biking/v_Biking_g01_c01 is not of the format"):
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
