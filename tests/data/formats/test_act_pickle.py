import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.data.box_conventions import to_half_open
from stal.data.formats.act_pickle import read_act_pickle
from stal.errors import AnnotationError, ConfigError, DataNotFoundError

CATCH, JUMP = "catch/first", "jump/second"


def rows(first: int, *boxes: list[float]) -> np.ndarray:
    return np.array([[first + i, *box] for i, box in enumerate(boxes)], np.float32).reshape(-1, 5)


@pytest.fixture
def raw() -> dict[str, Any]:
    return {
        "labels": ["catch", "jump"],
        "gttubes": {
            CATCH: {0: [rows(1, [10, 20, 30, 40], [11, 20, 31, 40])]},
            JUMP: {1: [rows(3, [0, 0, 5, 5]), rows(1, [1, 1, 2, 2])], 0: [rows(2, [7, 7, 8, 9])]},
        },
        "nframes": {CATCH: 2, JUMP: 3},
        "resolution": {CATCH: (240, 320), JUMP: (100, 200)},
        "train_videos": [[CATCH], [JUMP], []],
        "test_videos": [[JUMP], [CATCH], [JUMP, CATCH]],
    }


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], Path]:
    def write(value: Any) -> Path:
        path = tmp_path / "GT.pkl"
        path.write_bytes(pickle.dumps(value))
        return path

    return write


def test_frames_become_0_based_and_boxes_stay_as_they_are_stored(
    raw: dict[str, Any], save: Callable[..., Path]
) -> None:
    annotations = read_act_pickle(save(raw), "2")
    (video,) = annotations.videos
    assert annotations.classes == ("catch", "jump")
    assert (video.key, video.num_frames, video.height, video.width, video.split) == (CATCH, 2, 240, 320, "test")
    assert video.tubes[0].frames.tolist() == [0, 1]
    assert video.tubes[0].boxes.tolist() == [[10, 20, 30, 40], [11, 20, 31, 40]]


def test_boxes_can_be_made_half_open(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    (video,) = read_act_pickle(save(raw), "2", half_open=True).videos
    assert video.tubes[0].boxes.tolist() == [[10, 20, 31, 41], [11, 20, 32, 41]]


def test_tubes_are_numbered_by_class_and_then_in_their_order(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    (video,) = read_act_pickle(save(raw), "1").videos
    assert [(tube.id, tube.label, tube.frames.tolist()) for tube in video.tubes] == [
        (0, 0, [1]),
        (1, 1, [2]),
        (2, 1, [0]),
    ]


def test_a_split_has_its_test_videos_in_their_order(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    assert [video.key for video in read_act_pickle(save(raw), "3").videos] == [JUMP, CATCH]


def test_the_only_split_need_not_be_chosen(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    raw["test_videos"] = [[CATCH]]
    assert [video.key for video in read_act_pickle(save(raw)).videos] == [CATCH]


@pytest.mark.parametrize(("split", "message"), [(None, "none was chosen"), ("4", "not '4'"), ("test", "not 'test'")])
def test_other_splits_are_refused_with_those_that_there_are(
    raw: dict[str, Any], save: Callable[..., Path], split: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"GT\.pkl: has the splits 1, 2, 3, {message}; choose one"):
        read_act_pickle(save(raw), split)


def change(*keys: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    """Return what sets a value deep in a dict."""

    def damage(raw: dict[str, Any]) -> None:
        for key in keys[:-1]:
            raw = raw[key]
        raw[keys[-1]] = to

    return damage


def set_tube(*boxes: Any, first: float = 1) -> Callable[[dict[str, Any]], None]:
    return change("gttubes", CATCH, 0, to=[rows(first, *boxes)])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw.pop("resolution"), "expected a dict of gttubes, .* but found the keys"),
        (change("labels", to="catch"), "labels is 'catch', not a list of texts"),
        (change("labels", to=["catch", 1]), "not a list of texts"),
        (change("labels", to=["catch", "catch"]), "are not all different"),
        (change("gttubes", to=[]), "gttubes is a list, not a dict by video"),
        (change("test_videos", to=3), "test_videos is 3, not a list of texts for every split"),
        (change("test_videos", to=[CATCH]), "not a list of texts for every split"),
        (lambda raw: raw["nframes"].pop(CATCH), "nframes lacks 1 of the 2 test videos, the first is catch/first"),
        (lambda raw: raw["gttubes"].clear(), "gttubes lacks 2 of the 2 test videos, the first is jump/second"),
        (change("test_videos", 2, to=[CATCH, CATCH]), "catch/first is annotated twice"),
        (change("nframes", CATCH, to="2"), "video catch/first: nframes '2' must be a whole number"),
        (change("nframes", CATCH, to=1), "catch/first: tube 0 has a box on frame 1, but .* 1 frames"),
        (change("resolution", CATCH, to=[240]), r"resolution \[240\] must be the height and the width"),
        (change("gttubes", CATCH, to=[]), r"gttubes \[\] must be a dict from label"),
        (change("gttubes", CATCH, to={"catch": []}), "must be a dict from label"),
        (change("gttubes", CATCH, to={0: 3}), "to a list of arrays"),
        (change("gttubes", CATCH, to={5: [rows(1, [0, 0, 1, 1])]}), "has class 5, but there are 2"),
        (
            change("gttubes", CATCH, to={0: [np.zeros((2, 4))]}),
            r"tube 0 of class 0: float64\[2, 4\] must be numbers \(n, 5\)",
        ),
        (set_tube(), "tube 0 of class 0: .*at least one frame"),
        (set_tube([0, 0, 1, 1], first=0), "catch/first, tube 0 of class 0: .*0-based"),
        (set_tube([0, 0, 1, 1], [0, 0, 1, 1], first=0.5), "row 0 has frame 0.5; 2 of 2 frames are not whole"),
        (set_tube([0, 0, 1, 1], first=np.nan), "row 0 has frame nan"),
        (set_tube([0, 0, 1, 1], [5, 5, 5, 9]), r"box 1 is \[5.0, 5.0, 5.0, 9.0\], and 1 of 2"),
        (set_tube([0, 0, np.nan, 1]), r"box 0 is \[0.0, 0.0, nan, 1.0\]"),
    ],
)
def test_a_broken_file_is_named(
    raw: dict[str, Any], save: Callable[..., Path], damage: Callable[[Any], object], message: str
) -> None:
    damage(raw)
    with pytest.raises(AnnotationError, match=rf"GT\.pkl.*{message}"):
        read_act_pickle(save(raw), "3")


def test_what_is_no_such_pickle_is_refused(save: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="but found a list"):
        read_act_pickle(save([1]))
    with pytest.raises(DataNotFoundError, match=r"nothing\.pkl"):
        read_act_pickle(tmp_path / "nothing.pkl")


@pytest.mark.data
@pytest.mark.parametrize(("split", "num_videos", "num_frames"), [("1", 268, 9139), ("2", 270, 8957), ("3", 265, 9045)])
def test_the_real_jhmdb_has_one_box_on_each_frame(shared: Path, split: str, num_videos: int, num_frames: int) -> None:
    path = shared / "annotations/jhmdb/JHMDB-GT.pkl"
    annotations = read_act_pickle(path, split)
    assert len(annotations.classes) == 21
    assert len(annotations.videos) == num_videos
    assert sum(video.num_frames for video in annotations.videos) == num_frames
    for video in annotations.videos:
        (tube,) = video.tubes
        assert tube.frames.tolist() == list(range(video.num_frames))
        assert annotations.classes[tube.label] == video.key.split("/")[0]
    boxes = np.concatenate([video.tubes[0].boxes for video in annotations.videos])
    assert boxes.min() >= 0
    assert boxes.max() <= 319
    half_open = read_act_pickle(path, split, half_open=True)
    np.testing.assert_array_equal(
        half_open.videos[0].tubes[0].boxes, to_half_open(annotations).videos[0].tubes[0].boxes
    )
