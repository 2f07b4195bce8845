from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.data.detection_files import FORMAT, read_detections, write_detections
from stal.errors import AnnotationError, DataNotFoundError, ShapeError
from stal.structures import Annotations, Detections, Tube, Video

TRUTH = Tube(1, np.array([2, 3, 4]), np.array([[0, 0, 4, 4], [1, 0, 5, 4], [2, 0, 6, 4]], np.float32))
GAPPED = Tube(0, np.array([0, 1, 5]), TRUTH.boxes + 10, id=1)
FOUND = Tube(1, np.array([1, 2, 6, 7]), np.tile(np.array([0.5, 0, 9, 9], np.float32), (4, 1)), score=0.1)


def annotations(second_height: int = 240) -> Annotations:
    videos = (
        Video("a", Path("a.avi"), 10, 240, 320, tubes=(TRUTH, GAPPED)),
        Video("b/c", Path("b/c.avi"), 8, second_height, 320),
        Video("d", Path("d.avi"), 9, 240, 320),
    )
    return Annotations(("run", "jump"), videos)


def detections() -> dict[str, Detections]:
    boxes = np.array([[0, 0, 1.5, 2], [1, 1, 3, 3]], np.float32)
    return {"b/c": Detections(np.array([7, 0]), boxes, np.array([1, 0]), np.array([0.1, 0.7]))}


def assert_same_tube(a: Tube, b: Tube) -> None:
    assert (a.label, a.score, a.frames.tolist()) == (b.label, b.score, b.frames.tolist())
    np.testing.assert_array_equal(a.boxes, b.boxes)


@pytest.mark.parametrize("second_height", [240, 480])
def test_a_file_gives_back_what_was_written(tmp_path: Path, second_height: int) -> None:
    path = tmp_path / "new" / "out.npz"
    write_detections(path, annotations(second_height), detections(), {"d": [FOUND]})
    truth, found, tubes = read_detections(path)
    assert truth.classes == ("run", "jump")
    assert [(v.key, v.num_frames, v.height, v.width) for v in truth.videos] == [
        ("a", 10, 240, 320),
        ("b/c", 8, second_height, 320),
        ("d", 9, 240, 320),
    ]
    assert [len(video.tubes) for video in truth.videos] == [2, 0, 0]
    assert_same_tube(truth.videos[0].tubes[0], TRUTH)
    assert_same_tube(truth.videos[0].tubes[1], GAPPED)
    assert {key: len(boxes) for key, boxes in found.items()} == {"a": 0, "b/c": 2, "d": 0}
    for name in ("frames", "boxes", "labels", "scores"):
        np.testing.assert_array_equal(getattr(found["b/c"], name), getattr(detections()["b/c"], name))
    assert {key: len(of_video) for key, of_video in tubes.items()} == {"a": 0, "b/c": 0, "d": 1}
    assert_same_tube(tubes["d"][0], FOUND)


def test_a_file_without_videos_can_be_written(tmp_path: Path) -> None:
    write_detections(tmp_path / "out.npz", Annotations(("run",), ()), {}, {})
    truth, found, tubes = read_detections(tmp_path / "out.npz")
    assert (truth.videos, found, tubes) == ((), {}, {})


def test_the_name_of_the_file_is_kept(tmp_path: Path) -> None:
    write_detections(tmp_path / "detections", annotations(), {}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["detections"]


def test_writing_refuses_unknown_videos_and_tubes_without_scores(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"not annotated: \['x'\]"):
        write_detections(tmp_path / "out.npz", annotations(), {"x": Detections.empty()}, {})
    with pytest.raises(ShapeError, match="has no score"):
        write_detections(tmp_path / "out.npz", annotations(), {}, {"a": [TRUTH]})
    assert not list(tmp_path.iterdir())


def one_based_arrays() -> dict[str, Any]:
    """The layout without `format`: 1-based frames, consecutive rows, one size for all videos."""
    return {
        "labels": np.array(["run", "jump"]),
        "videos": np.array(["a", "b"]),
        "nframes": np.array([10, 8], np.int32),
        "hw": np.array([240, 320], np.int32),
        "gt_video": np.array([1], np.int32),
        "gt_class": np.array([1], np.int16),
        "gt_start": np.array([6], np.int32),
        "gt_offset": np.array([0, 3]),
        "gt_boxes": TRUTH.boxes,
        "det_video": np.array([1, 0, 1], np.int32),
        "det_frame": np.array([8, 1, 2], np.int32),
        "det_class": np.array([0, 1, 1], np.int16),
        "det_score": np.array([0.5, 0.25, 0.75], np.float32),
        "det_boxes": TRUTH.boxes,
        "tube_video": np.array([0, 0], np.int32),
        "tube_class": np.array([0, 1], np.int16),
        "tube_start": np.array([1, 10], np.int32),
        "tube_score": np.array([0.5, 0.25], np.float32),
        "tube_offset": np.array([0, 2, 3]),
        "tube_boxes": TRUTH.boxes,
    }


def test_a_file_without_format_has_1_based_frames(tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", **one_based_arrays())
    truth, found, tubes = read_detections(tmp_path / "old.npz")
    assert [(v.height, v.width) for v in truth.videos] == [(240, 320)] * 2
    assert truth.videos[1].tubes[0].frames.tolist() == [5, 6, 7]
    np.testing.assert_array_equal(truth.videos[1].tubes[0].boxes, TRUTH.boxes)
    assert found["a"].frames.tolist() == [0]
    assert found["b"].frames.tolist() == [7, 1]
    assert found["b"].scores.tolist() == [0.5, 0.75]
    assert [tube.frames.tolist() for tube in tubes["a"]] == [[0, 1], [9]]
    assert [(tube.label, tube.id, tube.score) for tube in tubes["a"]] == [(0, 0, 0.5), (1, 1, 0.25)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"det_score": None}, r"arrays \['det_score'\] are missing"),
        ({"format": np.array("stal-detections-9")}, "this version of stal reads 'stal-detections-1"),
        ({"nframes": np.array([10])}, r"must be \(V,\)"),
        ({"hw": np.array([240, 320, 3])}, r"must be \(V,\)"),
        ({"det_video": np.array([0, 2, 1])}, "rows 0 to 2, but there are 2 videos"),
        ({"det_video": np.array([0, 1])}, "'det_video': 2.*as many of each"),
        ({"det_frame": np.array([0, 1, 1])}, "0-based"),
        ({"det_boxes": np.zeros((3, 4))}, "box 0"),
        ({"det_boxes": np.zeros((2, 4))}, "as many of each"),
        ({"gt_video": np.array([-1])}, "rows -1 to -1"),
        ({"gt_class": np.array([2])}, "are its classes 1-based"),
        ({"gt_start": np.array([7])}, "are its frames 1-based"),
        ({"gt_start": np.array([7, 7])}, "as many of each"),
        ({"gt_offset": np.array([0, 2])}, "must rise from 0 to the 3 rows"),
        ({"tube_offset": np.array([0, 0, 3])}, "must rise from 0 to the 3 rows"),
        ({"tube_score": np.array([0.5])}, "as many of each"),
        ({"tube_frame": np.array([1, 2])}, "tube_frame has 2 entries for 3"),
    ],
)
def test_arrays_at_odds_are_refused_by_name(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    arrays = {**one_based_arrays(), **changes}
    np.savez(tmp_path / "bad.npz", **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(AnnotationError, match=message) as error:
        read_detections(tmp_path / "bad.npz")
    assert "bad.npz" in str(error.value)


def test_a_file_that_is_no_npz_of_plain_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    with pytest.raises(DataNotFoundError, match="no such"):
        read_detections(path)
    for content in (b"", b"text", b"PK\x03\x04broken"):
        path.write_bytes(content)
        with pytest.raises(AnnotationError, match=r"bad\.npz"):
            read_detections(path)
    np.savez(path, **{**one_based_arrays(), "labels": np.array(["run", None], dtype=object)})
    with pytest.raises(AnnotationError, match=r"bad\.npz.*allow_pickle"):
        read_detections(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(AnnotationError, match=r"bad\.npz"):
        read_detections(path)


def test_the_format_says_its_conventions() -> None:
    assert FORMAT == "stal-detections-1: 0-based frames, half-open boxes"
