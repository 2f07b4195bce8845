from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from stal.data.formats.ucf24_mat import read_final_annots
from stal.data.formats.ucf24_pickle import read_pyannot
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations

BIKING, SKIING = "Biking/v_Biking_g01_c01", "Skiing/v_Skiing_g01_c01"
Raw = list[dict[str, Any]]


def structures(items: Raw) -> np.ndarray:
    """A row of structures, as MATLAB writes it."""
    array = np.zeros((1, len(items)), [(name, "O") for name in items[0]])
    for position, item in enumerate(items):
        array[0, position] = tuple(item.values())
    return array


def write(path: Path, raw: Raw) -> Path:
    videos = [
        {**video, "tubes": structures(video["tubes"]) if isinstance(video["tubes"], list) else video["tubes"]}
        for video in raw
    ]
    savemat(path, {"annot": structures(videos)}, do_compression=True)
    return path


@pytest.fixture
def raw() -> Raw:
    boxes = np.array([[200, 10, 100, 50], [201, 10, 100, 51]], np.uint8)
    tubes = [
        {"ef": 151, "sf": 150, "class": 3, "boxes": boxes},
        {"ef": 1, "sf": 1, "class": 3, "boxes": np.array([[300, 1, 20, 9]], np.uint16)},
    ]
    return [
        {"num_imgs": 9, "name": SKIING, "tubes": np.zeros((0, 0))},
        {"num_imgs": 151, "name": BIKING, "tubes": tubes},
    ]


@pytest.fixture
def path(tmp_path: Path, raw: Raw) -> Path:
    (tmp_path / "testlist01.txt").write_bytes(f"{BIKING}\r\n".encode())
    return write(tmp_path / "finalAnnots.mat", raw)


def test_frames_and_classes_from_one_become_those_from_zero(path: Path) -> None:
    biking, skiing = read_final_annots(path).videos
    assert [tube.frames.tolist() for tube in biking.tubes] == [[149, 150], [0]]
    assert [tube.label for tube in biking.tubes] == [2, 2]
    assert (biking.num_frames, biking.height, biking.width, biking.fps) == (151, 240, 320, None)
    assert (skiing.key, skiing.tubes) == (SKIING, ())


def test_boxes_are_xyxy_without_overflow(path: Path) -> None:
    tubes = read_final_annots(path).videos[0].tubes
    assert tubes[0].boxes.tolist() == [[200, 10, 300, 60], [201, 10, 301, 61]]
    assert tubes[1].boxes.tolist() == [[300, 1, 320, 10]]


def test_splits_and_classes_are_chosen_as_in_the_pickle(path: Path) -> None:
    assert [video.split for video in read_final_annots(path).videos] == ["test", "train"]
    assert [video.key for video in read_final_annots(path, split="train").videos] == [SKIING]
    annotations = read_final_annots(path, classes=["Skiing", "Biking"])
    assert annotations.videos[0].tubes[0].label == 1
    path.with_name("testlist01.txt").rename(path.with_name("other.txt"))
    assert len(read_final_annots(path, test_list=path.with_name("other.txt")).videos) == 2
    with pytest.raises(DataNotFoundError, match=r"testlist01\.txt: there is no such file"):
        read_final_annots(path)
    with pytest.raises(ConfigError, match="no split 'val'"):
        read_final_annots(path, split="val")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[1].update(name=3), "the name of a video is a ndarray, not a text"),
        (lambda raw: raw[1].update(name="Archery/v"), "video Archery/v is of none of the 24 classes"),
        (lambda raw: raw[1].update(name=SKIING), r"v_Skiing_g01_c01 has labels \[2\] instead of 16"),
        (lambda raw: raw[0].update(name=BIKING), "v_Biking_g01_c01 is annotated twice"),
        (lambda raw: raw[1].update(num_imgs=150), "v_Biking_g01_c01: tube 0 has a box on frame 150"),
        (lambda raw: raw[1].update(num_imgs=0), "num_imgs is a ndarray, not one whole number from 1 on"),
        (lambda raw: raw[1].update(num_imgs=9.5), r"num_imgs is 9\.5, not one whole number"),
        (lambda raw: raw[1].update(num_imgs=np.nan), "num_imgs is nan, not one whole number"),
        (lambda raw: raw[1].update(num_imgs="9"), "num_imgs is a str, not one whole number"),
        (lambda raw: raw[1].update(tubes=np.ones((2, 2))), "tubes is not an array of structures with sf, ef, class"),
        (lambda raw: raw[1]["tubes"][0].update(sf=0), "sf is a ndarray, not one whole number from 1 on"),
        (lambda raw: raw[1]["tubes"][0].update(ef=152), "frames 149 to 152: a tube has 2 boxes"),
        (lambda raw: raw[1]["tubes"][0].update(boxes="x"), "frames 149 to 151: the boxes are a str"),
        (lambda raw: raw[1]["tubes"][0].update(boxes=np.zeros((2, 4))), r"frames 149 to 151: .*box 0 is \[0\.0"),
    ],
)
def test_a_broken_annotation_is_named(path: Path, raw: Raw, damage: Callable[[Raw], None], message: str) -> None:
    damage(raw)
    with pytest.raises(AnnotationError, match=rf"finalAnnots\.mat: .*{message}"):
        read_final_annots(write(path, raw))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"other": 1}, r"has no variable 'annot'; its variables are \['other'\]"),
        ({"annot": np.zeros((2, 2))}, "annot is not an array of structures with name, num_imgs, tubes"),
        ({"annot": {"name": BIKING}}, "annot is not an array of structures"),
    ],
)
def test_other_matlab_files_are_refused(path: Path, variables: dict[str, Any], message: str) -> None:
    savemat(path, variables)
    with pytest.raises(AnnotationError, match=rf"finalAnnots\.mat: .*{message}"):
        read_final_annots(path)


def flat(annotations: Annotations) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """What is known of the videos and tubes, and the frames and boxes of all tubes."""
    tubes = [tube for video in annotations.videos for tube in video.tubes]
    facts = [
        (video.key, video.split, video.num_frames, [(tube.id, tube.label, len(tube)) for tube in video.tubes])
        for video in annotations.videos
    ]
    return facts, np.concatenate([tube.frames for tube in tubes]), np.concatenate([tube.boxes for tube in tubes])


@pytest.mark.data
def test_the_real_file_has_the_annotations_of_the_pickle(shared: Path) -> None:
    folder = shared / "annotations/ucf24"
    annotations, expected = read_final_annots(folder / "finalAnnots.mat"), read_pyannot(folder / "pyannot.pkl")
    facts, frames, boxes = flat(annotations)
    expected_facts, expected_frames, expected_boxes = flat(expected)
    assert len(facts) == 3194
    assert facts == expected_facts
    np.testing.assert_array_equal(frames, expected_frames)
    np.testing.assert_array_equal(boxes, expected_boxes)


@pytest.mark.data
def test_a_real_file_that_is_cut_off_is_an_annotation_error(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "annotations/ucf24/finalAnnots.mat").read_bytes()
    (tmp_path / "finalAnnots.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AnnotationError, match=r"finalAnnots\.mat: not a whole MATLAB file: .*; download it again"):
        read_final_annots(tmp_path / "finalAnnots.mat")
