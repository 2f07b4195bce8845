import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from stal.data.detection_files import FORMAT
from stal.data.formats import pickles
from stal.data.formats.tubes_json import write_tubes_json
from stal.data.formats.ucf24_annotations import CLASSES
from stal.data.ground_truth import read_ground_truth
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations, Tube, Video


def write_json(path: Path, *splits: str) -> Path:
    tube = Tube(0, np.array([4]), np.array([[1, 2, 3, 4]], np.float32))
    videos = tuple(Video(f"{s}/v", Path(s), 9, 24, 32, tubes=(tube,), split=s) for s in splits)
    write_tubes_json(Annotations(("run",), videos), path)
    return path


BIKING = ("Biking/v_Biking_g01_c01", "Biking/v_Biking_g02_c01")
BOXES = np.array([[200, 10, 100, 50]], np.uint8)
PYANNOT = {"label": 2, "annotations": [{"label": 2, "sf": 4, "ef": 5, "boxes": BOXES}], "numf": np.uint8(9)}


def write_pyannot(path: Path) -> Path:
    """Write two videos of UCF101-24, the first of them of the test split."""
    path.write_bytes(pickle.dumps({np.str_(key): PYANNOT for key in BIKING}))
    path.with_name("testlist01.txt").write_text(f"{BIKING[0]}\n")
    return path


def write_pyannot_with_class_names(path: Path) -> Path:
    """Write the same two videos, with the train split in the file and no list beside it."""
    path.with_name("testlist01.txt").unlink(missing_ok=True)
    raw = {"db": {key: PYANNOT for key in BIKING}, "trainvideos": [BIKING[1]], "classes": list(CLASSES)}
    path.write_bytes(pickle.dumps(raw))
    return path


def write_final_annots(path: Path) -> Path:
    """Write the same two videos as MATLAB has them, and the list of test videos."""
    annot = np.zeros((1, 2), [("num_imgs", "O"), ("name", "O"), ("tubes", "O")])
    tubes = np.zeros((1, 1), [("ef", "O"), ("sf", "O"), ("class", "O"), ("boxes", "O")])
    tubes[0, 0] = (5, 5, 3, BOXES)
    for i, key in enumerate(BIKING):
        annot[0, i] = (9, key, tubes)
    savemat(path, {"annot": annot}, appendmat=False)
    path.with_name("testlist01.txt").write_text(f"{BIKING[0]}\n")
    return path


def write_act(path: Path) -> Path:
    """Write one video of the first split, and none of the second."""
    raw = {
        "labels": ["run"],
        "gttubes": {"run/v": {0: [np.array([[5, 1, 2, 3, 4]], np.float32)]}},
        "nframes": {"run/v": 9},
        "resolution": {"run/v": (24, 32)},
        "train_videos": [[], ["run/v"]],
        "test_videos": [["run/v"], []],
    }
    path.write_bytes(pickle.dumps(raw))
    return path


@pytest.mark.parametrize("name", ["GT", "GT.txt"])
def test_the_kind_of_a_file_shows_in_its_content(tmp_path: Path, name: str, write_npz: Callable[..., Path]) -> None:
    path = tmp_path / name
    from_json = read_ground_truth(write_json(path, "test"))
    assert from_json.half_open
    assert from_json.annotations.videos[0].tubes[0].frames.tolist() == [4]

    for write in (write_pyannot, write_pyannot_with_class_names, write_final_annots):
        from_ucf24 = read_ground_truth(write(path))
        assert from_ucf24.half_open
        assert [video.key for video in from_ucf24.annotations.videos] == [BIKING[0]]
        assert from_ucf24.annotations.videos[0].tubes[0].frames.tolist() == [4]
        assert from_ucf24.annotations.videos[0].tubes[0].boxes.tolist() == [[200, 10, 300, 60]]

    from_act = read_ground_truth(write_act(path), split="1")
    assert not from_act.half_open
    assert from_act.annotations.videos[0].tubes[0].frames.tolist() == [4]
    assert from_act.annotations.videos[0].tubes[0].boxes.tolist() == [[1, 2, 3, 4]]

    for changes, half_open in (({}, False), ({"format": FORMAT, "gt_start": [5]}, True)):
        from_npz = read_ground_truth(
            write_npz(only=("labels", "videos", "nframes", "hw", "gt_"), **changes).rename(path)
        )
        assert from_npz.half_open is half_open
        assert from_npz.annotations.videos[1].tubes[0].frames.tolist() == [5, 6, 7]


@pytest.mark.parametrize("write", [write_pyannot, write_act])
def test_a_pickle_is_loaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path]
) -> None:
    loaded: list[str] = []
    load = pickle.Unpickler.load
    unpickler = type("Counted", (pickles._PlainUnpickler,), {"load": lambda self: loaded.append("once") or load(self)})
    monkeypatch.setattr(pickles, "_PlainUnpickler", unpickler)
    read_ground_truth(write(tmp_path / "GT"), split="1" if write is write_act else None)
    assert loaded == ["once"]


@pytest.mark.parametrize(
    ("write", "split", "keys"),
    [
        (lambda path: write_json(path, "train", "test"), "train", ["train/v"]),
        (lambda path: write_json(path, "only"), None, ["only/v"]),
        (write_pyannot, "test", [BIKING[0]]),
        (write_pyannot, "train", [BIKING[1]]),
        (write_pyannot_with_class_names, "test", [BIKING[0]]),
        (write_pyannot_with_class_names, "train", [BIKING[1]]),
        (write_final_annots, "test", [BIKING[0]]),
        (write_final_annots, "train", [BIKING[1]]),
        (write_act, "1", ["run/v"]),
        (write_act, "2", []),
    ],
)
def test_a_split_can_be_chosen(tmp_path: Path, write: Callable[[Path], Path], split: str, keys: list[str]) -> None:
    truth = read_ground_truth(write(tmp_path / "GT"), split=split)
    assert [video.key for video in truth.annotations.videos] == keys
    assert truth.sizes_known


@pytest.mark.parametrize(
    ("write", "split", "error", "message"),
    [
        (lambda path: write_json(path, "train", "test"), None, ConfigError, "has the splits test, train; choose one"),
        (lambda path: write_json(path, "train"), "test", AnnotationError, r"the splits are \['train'\]"),
        (write_pyannot, "1", ConfigError, "no split '1'; it has 'train' and 'test'"),
        (write_final_annots, "1", ConfigError, "no split '1'; it has 'train' and 'test'"),
        (write_act, None, ConfigError, "has the folds 1, 2, none was chosen"),
        (write_act, "3", ConfigError, "has the folds 1, 2, not 3"),
        (write_act, "test", ConfigError, "has no split 'test'; its splits are 1, 2"),
    ],
)
def test_a_split_that_is_not_there_or_not_chosen_is_an_error(
    tmp_path: Path, write: Callable[[Path], Path], split: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_ground_truth(write(tmp_path / "GT"), split=split)


def test_an_npz_has_no_splits(write_npz: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"bad\.npz: an \.npz has no splits, but '1' was chosen"):
        read_ground_truth(write_npz(), split="1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; ground truth is this project's JSON"),
        (b" \n", "the file is empty"),
        (
            b"Biking/v_Biking_g01_c01\n",
            "not a whole pickle .*, or name another file: ground truth is this project's JSON",
        ),
        (b"MATLAB 5.0 MAT-file", r"not a MATLAB file of version 5 to 7\.2"),
        (b"{broken", "not a JSON file"),
        (json.dumps([1]).encode(), 'expected an object with "format"'),
        (b"PK\x03\x04broken", "not an .npz file"),
        (pickle.dumps([1]), r"JHMDB-GT\.pkl, but this is a pickled list$"),
        (pickle.dumps({"a": 1}), r"but this is a pickled dict with the keys \['a'\]"),
        (pickle.dumps({"a/b": 1}), r"video a/b is not of the format of pyannot\.pkl"),
        (pickle.dumps({}), "not a dict of videos as pyannot.pkl"),
        (pickle.dumps({"db": 1}), "has `db`, but not the videos in it"),
        (pickle.dumps({"labels": [], "gttubes": {}}), "expected a dict of gttubes"),
    ],
)
def test_what_is_no_ground_truth_is_refused_with_what_is(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "GT").write_bytes(content)
    with pytest.raises(AnnotationError, match=rf"GT.*{message}") as error:
        read_ground_truth(tmp_path / "GT")
    assert str(error.value).count(str(tmp_path)) == 1


def test_a_folder_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=rf"^{tmp_path}: this is a folder; name the file in it: .*pyannot\.pkl"):
        read_ground_truth(tmp_path)


def test_ground_truth_of_an_npz_without_hw_has_no_known_sizes(write_npz: Callable[..., Path]) -> None:
    assert read_ground_truth(write_npz()).sizes_known
    assert not read_ground_truth(write_npz(hw=None)).sizes_known


def test_an_npz_that_lacks_ground_truth_is_not_sent_to_itself(write_npz: Callable[..., Path]) -> None:
    with pytest.raises(AnnotationError, match=r"arrays \['nframes'\] are missing; .*; write them too") as error:
        read_ground_truth(write_npz(nframes=None))
    assert "--ground-truth" not in str(error.value)


def test_a_missing_file_and_a_missing_test_list_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"GT: there is no such ground truth file"):
        read_ground_truth(tmp_path / "GT")
    path = write_pyannot(tmp_path / "pyannot.pkl")
    (tmp_path / "testlist01.txt").unlink()
    with pytest.raises(
        DataNotFoundError, match=r"testlist01\.txt: there is no such file, and .*pyannot\.pkl .* beside"
    ):
        read_ground_truth(path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "split", "counts"),
    [
        ("annotations/ucf24/pyannot.pkl", None, (910, 159289, 170580)),
        ("annotations/ucf24/pyannot_with_class_names.pkl", "test", (910, 159289, 170580)),
        ("annotations/ucf24/finalAnnots.mat", None, (910, 159289, 170580)),
        ("annotations/jhmdb/JHMDB-GT.pkl", "1", (268, 9139, 9139)),
        ("oracles/oracle_medium.npz", None, (200, 35017, 41230)),
    ],
)
def test_real_ground_truth_has_its_videos_frames_and_boxes(
    shared: Path, name: str, split: str | None, counts: tuple[Any, ...]
) -> None:
    videos = read_ground_truth(shared / name, split=split).annotations.videos
    num_boxes = sum(len(tube) for video in videos for tube in video.tubes)
    assert (len(videos), sum(video.num_frames for video in videos), num_boxes) == counts
