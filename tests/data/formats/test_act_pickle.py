import dataclasses
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stal.data.box_conventions import to_half_open
from stal.data.formats.act_pickle import read_act_pickle, write_act_pickle
from stal.data.formats.pickles import load_pickle
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations, Tube, Video

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


def test_frames_become_0_based_and_boxes_half_open(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    annotations = read_act_pickle(save(raw), fold=2, split="test")
    (video,) = annotations.videos
    assert annotations.classes == ("catch", "jump")
    assert (video.key, video.num_frames, video.height, video.width, video.split) == (CATCH, 2, 240, 320, "test")
    assert video.fps is None
    assert video.tubes[0].frames.tolist() == [0, 1]
    assert video.tubes[0].boxes.tolist() == [[10, 20, 31, 41], [11, 20, 32, 41]]


def test_boxes_can_stay_as_they_are_stored(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    (video,) = read_act_pickle(save(raw), fold=2, split="test", half_open=False).videos
    assert video.tubes[0].boxes.tolist() == [[10, 20, 30, 40], [11, 20, 31, 40]]


def test_a_box_of_one_pixel_has_an_area_when_it_is_half_open(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    raw["gttubes"][CATCH][0] = [rows(1, [5, 6, 5, 6])]
    assert read_act_pickle(save(raw), fold=1).videos[0].tubes[0].boxes.tolist() == [[5, 6, 6, 7]]
    with pytest.raises(AnnotationError, match="x1 < x2"):
        read_act_pickle(save(raw), fold=1, half_open=False)


def test_tubes_are_numbered_by_class_and_then_in_their_order(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    (video,) = read_act_pickle(save(raw), fold=1, split="test").videos
    assert [(tube.id, tube.label, tube.frames.tolist()) for tube in video.tubes] == [
        (0, 0, [1]),
        (1, 1, [2]),
        (2, 1, [0]),
    ]


@pytest.mark.parametrize(
    ("fold", "split", "expected"),
    [
        (1, None, [(CATCH, "train"), (JUMP, "test")]),
        (1, "train", [(CATCH, "train")]),
        (2, "test", [(CATCH, "test")]),
        (3, "train", []),
        (3, None, [(JUMP, "test"), (CATCH, "test")]),
    ],
)
def test_a_fold_has_its_videos_in_their_order(
    raw: dict[str, Any], save: Callable[..., Path], fold: int, split: Any, expected: list[tuple[str, str]]
) -> None:
    assert [(video.key, video.split) for video in read_act_pickle(save(raw), fold=fold, split=split).videos] == expected


def test_the_only_fold_need_not_be_chosen(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    raw |= {"train_videos": [[JUMP]], "test_videos": [[CATCH]]}
    assert [video.key for video in read_act_pickle(save(raw)).videos] == [JUMP, CATCH]


@pytest.mark.parametrize(("fold", "message"), [(None, "none was chosen"), (4, "not 4"), (0, "not 0")])
def test_other_folds_are_refused_with_those_that_there_are(
    raw: dict[str, Any], save: Callable[..., Path], fold: int | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"GT\.pkl: has the folds 1, 2, 3, {message}; choose one"):
        read_act_pickle(save(raw), fold=fold)


def multisports(num_videos: int = 3) -> dict[str, Any]:
    """Return a pickle like that of MultiSports: 66 labels, videos of any size, several tubes of a class at a time."""
    keys = [f"basketball/v_{i:02d}" for i in range(num_videos)]
    tubes = {7: [rows(10, [600, 300, 700, 500]), rows(11, [20.5, 3.25, 40, 60])], 65: [rows(9, [0, 0, 1279, 719])]}
    return {
        "labels": [f"sport action {i}" for i in range(66)],
        "gttubes": {key: tubes for key in keys},
        "nframes": {key: np.int64(90 + i) for i, key in enumerate(keys)},
        "resolution": {key: np.array([720 + i, 1280]) for i, key in enumerate(keys)},
        "train_videos": [keys[1:]],
        "test_videos": [keys[:1]],
    }


def test_multisports_has_many_classes_sizes_and_tubes(save: Callable[..., Path]) -> None:
    annotations = read_act_pickle(save(multisports()))
    assert len(annotations.classes) == 66
    assert [(video.split, video.num_frames, video.height) for video in annotations.videos] == [
        ("train", 91, 721),
        ("train", 92, 722),
        ("test", 90, 720),
    ]
    video = annotations.videos[0]
    assert [(tube.label, tube.frames.tolist()) for tube in video.tubes] == [(7, [9]), (7, [10]), (65, [8])]
    assert video.tubes[1].boxes.tolist() == [[20.5, 3.25, 41, 61]]
    assert video.tubes[2].boxes.tolist() == [[0, 0, 1280, 720]]


def test_ucf24_may_have_videos_without_a_tube_and_tubes_on_a_part_of_the_frames(save: Callable[..., Path]) -> None:
    empty, biking = "Basketball/v_Basketball_g08_c01", "Biking/v_Biking_g01_c01"
    raw = {
        "labels": ["Basketball", "Biking"],
        "gttubes": {biking: {1: [rows(3, [0, 0, 319, 239], [1, 1, 9, 9]), rows(1, [2, 2, 3, 3])]}, empty: {}},
        "nframes": {biking: 5, empty: 7},
        "resolution": {biking: (240, 320), empty: (240, 320)},
        "train_videos": [[biking]],
        "test_videos": [[empty]],
    }
    first, second = read_act_pickle(save(raw)).videos
    assert [tube.frames.tolist() for tube in first.tubes] == [[2, 3], [0]]
    assert (second.tubes, second.split) == ((), "test")


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
        (change("test_videos", to=3), "test_videos is 3, not a list of texts for every fold"),
        (change("test_videos", to=[CATCH]), "not a list of texts for every fold"),
        (lambda raw: raw["nframes"].pop(CATCH), "nframes lacks 1 of the 2 videos, the first is catch/first"),
        (lambda raw: raw["gttubes"].clear(), "gttubes lacks 2 of the 2 videos, the first is jump/second"),
        (change("train_videos", to=[[CATCH, 1]]), "train_videos is .* not a list of texts for every fold"),
        (change("train_videos", to=[[]]), "train_videos has 1 folds and test_videos 3"),
        (lambda raw: raw.update(train_videos=[], test_videos=[]), "train_videos has 0 folds and test_videos 0"),
        (change("train_videos", 2, to=[CATCH, "a"]), "fold 3 has 1 videos in both train and test, the first is catch"),
        (change("test_videos", 2, to=[CATCH, CATCH]), "catch/first is annotated twice"),
        (change("nframes", CATCH, to="2"), "video catch/first: nframes '2' must be a whole number"),
        (change("nframes", CATCH, to=1), "catch/first: tube 0 has a box on frame 1, but .* 1 frames"),
        (change("resolution", CATCH, to=[240]), r"resolution \[240\] must be the height and the width"),
        (change("resolution", CATCH, to=[[240], [320, 1]]), "must be the height and the width"),
        (change("resolution", CATCH, to=np.array([240.5, 320])), "must be the height and the width"),
        (change("gttubes", CATCH, to=[]), r"gttubes \[\] must be a dict from label"),
        (change("gttubes", CATCH, to={"catch": []}), "must be a dict from label"),
        (change("gttubes", CATCH, to={0: 3}), "to a list of arrays"),
        (change("gttubes", CATCH, to={5: [rows(1, [0, 0, 1, 1])]}), "has class 5, but there are 2"),
        (
            change("gttubes", CATCH, to={0: [np.zeros((2, 4))]}),
            r"tube 0 of class 0: float64\[2, 4\] must be numbers \(n, 5\)",
        ),
        (change("gttubes", CATCH, to={0: [[1]]}), r"tube 0 of class 0: a list must be numbers \(n, 5\)"),
        (set_tube(), "tube 0 of class 0: .*at least one frame"),
        (set_tube([0, 0, 1, 1], first=0), "catch/first, tube 0 of class 0: .*0-based"),
        (set_tube([0, 0, 1, 1], [0, 0, 1, 1], first=0.5), "row 0 has frame 0.5; 2 of 2 frames are no whole"),
        (set_tube([0, 0, 1, 1], first=np.nan), "row 0 has frame nan"),
        (set_tube([0, 0, 1, 1], first=np.inf), "row 0 has frame inf"),
        (set_tube([0, 0, 1, 1], first=1e12), "no whole numbers up to 16777216"),
        (set_tube([0, 0, 1, 1], [5, 5, 4, 9]), r"box 1 is \[5.0, 5.0, 5.0, 10.0\], and 1 of 2"),
        (change("gttubes", CATCH, to={0: [np.full((1, 5), 1e300) ** [0, 1, 1, 1, 1]]}), r"box 0 is \[inf, inf"),
        (set_tube([0, 0, np.nan, 1]), r"box 0 is \[0.0, 0.0, nan, 2.0\]"),
    ],
)
def test_a_broken_file_is_named(
    raw: dict[str, Any], save: Callable[..., Path], damage: Callable[[Any], object], message: str
) -> None:
    damage(raw)
    with pytest.raises(AnnotationError, match=rf"GT\.pkl.*{message}"):
        read_act_pickle(save(raw), fold=3)


def filling(height: int, width: int, *sizes: tuple[int, int]) -> dict[str, Any]:
    """A file with a video for each (height, width) of `sizes`, with one box that fills an image of the given size."""
    keys = [f"v{i}" for i in range(len(sizes))]
    return {
        "labels": ["a"],
        "gttubes": {key: {0: [rows(1, [0, 0, width - 1, height - 1])]} for key in keys},
        "nframes": dict.fromkeys(keys, 1),
        "resolution": dict(zip(keys, sizes, strict=True)),
        "train_videos": [keys],
        "test_videos": [[]],
    }


def test_sizes_with_the_width_first_show_in_the_boxes(
    save: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    stored, swapped = (240, 320), (320, 240)
    read_act_pickle(save(filling(*stored, *[stored] * 3)))
    read_act_pickle(save(filling(100, 100, *[swapped] * 3)))  # which fit both ways
    read_act_pickle(save(filling(999, 999, *[stored] * 3)))  # and neither
    assert not caplog.text
    message = (
        r"GT\.pkl: boxes of 3 of 3 videos are far outside .* \(width, height\) in place of \(height, width\): video v0"
    )
    with pytest.raises(AnnotationError, match=message):
        read_act_pickle(save(filling(*stored, *[swapped] * 3)))
    assert not caplog.text
    read_act_pickle(save(filling(*stored, *[swapped] * 3, stored)))
    assert "boxes of 3 of 4 videos are far outside of the image" in caplog.text
    caplog.clear()
    read_act_pickle(save(filling(*stored, swapped)))
    assert "boxes of 1 of 1 videos are far outside of the image" in caplog.text


def test_what_is_no_such_pickle_is_refused(save: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="but found a list"):
        read_act_pickle(save([1]))
    with pytest.raises(DataNotFoundError, match=r"nothing\.pkl"):
        read_act_pickle(tmp_path / "nothing.pkl")


def test_an_unknown_split_is_refused(raw: dict[str, Any], save: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"GT\.pkl: has no split 'val'; it has 'train' and 'test'"):
        read_act_pickle(save(raw), fold=1, split="val")


def example() -> Annotations:
    """Return two videos: one with tubes of one class at a time, one of them with a gap, and one without a tube."""
    gap = Tube(1, np.array([0, 1, 5]), np.array([[0, 0, 1, 1], [2.5, 3, 100.75, 40], [7, 8, 320, 240]], np.float32))
    other = Tube(1, np.array([1]), np.array([[30, 30, 40, 50]], np.float32), id=1)
    first = Video("a/1 (é!)", Path("a/1 (é!)"), 6, 240, 320, tubes=(gap, other), split="test")
    return Annotations(("walk", "jump high"), (Video("a/2", Path("a/2"), 9, 100, 50, split="train"), first))


def assert_equal(read: Annotations, written: Annotations) -> None:
    """Compare everything that the format has a place for."""
    assert read.classes == written.classes
    assert [(v.key, v.num_frames, v.height, v.width, v.split) for v in read.videos] == [
        (v.key, v.num_frames, v.height, v.width, v.split) for v in written.videos
    ]
    for video, expected in zip(read.videos, written.videos, strict=True):
        assert [(tube.label, tube.frames.tolist()) for tube in video.tubes] == [
            (tube.label, tube.frames.tolist()) for tube in expected.tubes
        ]
        for tube, expected_tube in zip(video.tubes, expected.tubes, strict=True):
            np.testing.assert_array_equal(tube.boxes, expected_tube.boxes)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_act_pickle(example(), tmp_path / "new" / "GT.pkl")
    assert_equal(read_act_pickle(tmp_path / "new" / "GT.pkl"), example())


def test_boxes_are_written_with_the_last_pixel_and_frames_from_1(tmp_path: Path) -> None:
    write_act_pickle(example(), tmp_path / "GT.pkl")
    raw = load_pickle(tmp_path / "GT.pkl")
    written = raw["gttubes"]["a/1 (é!)"][1][0]
    assert (written.dtype, written.shape, written.flags.writeable) == (np.float32, (3, 5), True)
    assert written.tolist() == [[1, 0, 0, 0, 0], [2, 2.5, 3, 99.75, 39], [6, 7, 8, 319, 239]]
    assert (raw["resolution"]["a/2"], raw["nframes"]["a/2"], raw["gttubes"]["a/2"]) == ((100, 50), 9, {})
    assert (raw["train_videos"], raw["test_videos"]) == ([["a/2"]], [["a/1 (é!)"]])


def test_the_file_asks_only_for_what_python_2_and_numpy_1_have(tmp_path: Path) -> None:
    write_act_pickle(example(), tmp_path / "GT.pkl")
    operations = list(pickletools.genops((tmp_path / "GT.pkl").read_bytes()))
    assert max(operation.proto for operation, _, _ in operations) == 2
    assert {value for operation, value, _ in operations if operation.name == "GLOBAL"} == {
        "numpy ndarray",
        "numpy dtype",
        "_codecs encode",
    }


DETECTED = Tube(0, np.array([0]), np.array([[0, 0, 1, 1]], np.float32), score=0.5)


def split_of(split: str) -> Annotations:
    return Annotations((), (Video("a", Path("a"), 1, 2, 3, split=split),))


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (split_of("val"), "video a has split 'val', and this format has 'train' and 'test' alone"),
        (split_of(""), "video a has split ''"),
        (
            Annotations((), (Video("a", Path("a"), 2**24 + 1, 2, 3, split="test"),)),
            "16777217 frames, and this format counts to 16777216",
        ),
        (
            Annotations(("x",), (Video("a", Path("a"), 1, 2, 3, tubes=(DETECTED,), split="test"),)),
            "tube 0 has a score, 0.5",
        ),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, annotations: Annotations, message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"GT\.pkl: .*{message}"):
        write_act_pickle(annotations, tmp_path / "GT.pkl")
    assert not (tmp_path / "GT.pkl").exists()


def test_what_is_left_out_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_act_pickle(example(), tmp_path / "GT.pkl")
    assert not caplog.records
    videos = tuple(dataclasses.replace(video, fps=25.0) for video in example().videos)
    write_act_pickle(Annotations(("walk", "jump high"), videos), tmp_path / "GT.pkl")
    assert "rates, scenes or silhouettes that 2 videos have" in caplog.text


@given(st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_annotation_survives_writing_and_reading(tmp_path: Path, data: st.DataObject) -> None:
    num_frames = data.draw(st.integers(1, 30))
    tubes = []
    for label in sorted(data.draw(st.lists(st.integers(0, 2), max_size=4))):
        frames = np.array(sorted(data.draw(st.sets(st.integers(0, num_frames - 1), min_size=1))))
        corners = data.draw(arrays(np.int32, (len(frames), 2), elements=st.integers(-50, 1000)))
        sizes = data.draw(arrays(np.int32, (len(frames), 2), elements=st.integers(1, 1000)))
        boxes = np.concatenate([corners, corners + sizes], axis=1).astype(np.float32) / 4
        tubes.append(Tube(label, frames, boxes, id=len(tubes)))
    written = Annotations(
        ("a", "b", "c"), (Video("v", Path("v"), num_frames, 240, 320, tubes=tuple(tubes), split="train"),)
    )
    write_act_pickle(written, tmp_path / "GT.pkl")
    assert_equal(read_act_pickle(tmp_path / "GT.pkl"), written)


@pytest.mark.data
@pytest.mark.parametrize(
    ("fold", "num_train", "num_test", "num_test_frames"),
    [(1, 660, 268, 9139), (2, 658, 270, 8957), (3, 663, 265, 9045)],
)
def test_the_real_jhmdb_has_one_box_on_each_frame(
    shared: Path, tmp_path: Path, fold: int, num_train: int, num_test: int, num_test_frames: int
) -> None:
    path = shared / "annotations/jhmdb/JHMDB-GT.pkl"
    annotations = read_act_pickle(path, fold=fold)
    assert len(annotations.classes) == 21
    assert [len(annotations.of_split(split).videos) for split in ("train", "test")] == [num_train, num_test]
    assert sum(video.num_frames for video in annotations.of_split("test").videos) == num_test_frames
    lengths = {video.num_frames for video in annotations.videos}
    assert (min(lengths), max(lengths)) == (15, 40)
    assert {(video.height, video.width) for video in annotations.videos} == {(240, 320)}
    for video in annotations.videos:
        (tube,) = video.tubes
        assert tube.frames.tolist() == list(range(video.num_frames))
        assert annotations.classes[tube.label] == video.key.split("/")[0]
    boxes = np.concatenate([video.tubes[0].boxes for video in annotations.videos])
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= 320
    assert boxes[:, 3].max() <= 240
    stored = read_act_pickle(path, fold=fold, half_open=False)
    np.testing.assert_array_equal(annotations.videos[0].tubes[0].boxes, to_half_open(stored).videos[0].tubes[0].boxes)
    write_act_pickle(annotations, tmp_path / "GT.pkl")
    assert_equal(read_act_pickle(tmp_path / "GT.pkl"), annotations)
