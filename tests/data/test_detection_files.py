import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.data.detection_files import FORMAT, read_annotations, read_detections, write_detections
from stal.errors import AnnotationError, ShapeError
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
    file = read_detections(path)
    truth, found, tubes = file.annotations, file.detections, file.tubes
    assert (file.half_open, file.dropped) == (True, {})
    assert tubes is not None
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
    file = read_detections(tmp_path / "out.npz")
    assert (file.annotations.videos, file.detections, file.tubes) == ((), {}, {})


def test_the_name_of_the_file_is_kept(tmp_path: Path) -> None:
    write_detections(tmp_path / "detections", annotations(), {}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["detections"]


def test_writing_refuses_unknown_videos_and_tubes_without_scores(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"not annotated: \['x'\]"):
        write_detections(tmp_path / "out.npz", annotations(), {"x": Detections.empty()}, {})
    with pytest.raises(ShapeError, match="has no score"):
        write_detections(tmp_path / "out.npz", annotations(), {}, {"a": [TRUTH]})
    assert not list(tmp_path.iterdir())


def test_a_file_without_format_has_1_based_frames(write_npz: Callable[..., Path]) -> None:
    file = read_detections(write_npz())
    truth, found, tubes = file.annotations, file.detections, file.tubes
    assert not file.half_open
    assert tubes is not None
    assert [(v.height, v.width) for v in truth.videos] == [(240, 320)] * 2
    assert truth.videos[1].tubes[0].frames.tolist() == [5, 6, 7]
    np.testing.assert_array_equal(truth.videos[1].tubes[0].boxes, TRUTH.boxes)
    assert found["a"].frames.tolist() == [0]
    assert found["b"].frames.tolist() == [7, 1]
    assert found["b"].scores.tolist() == [0.5, 0.75]
    assert [tube.frames.tolist() for tube in tubes["a"]] == [[0, 1], [9]]
    assert [(tube.label, tube.id, tube.score) for tube in tubes["a"]] == [(0, 0, 0.5), (1, 1, 0.25)]


def test_a_file_with_format_has_0_based_frames(write_npz: Callable[..., Path]) -> None:
    file = read_detections(write_npz(format=FORMAT, det_frame=[7, 0, 1], tube_start=[0, 9], gt_start=[5]))
    assert file.half_open
    assert file.detections["b"].frames.tolist() == [7, 1]
    assert file.annotations.videos[1].tubes[0].frames.tolist() == [5, 6, 7]
    np.testing.assert_array_equal(file.detections["a"].boxes, TRUTH.boxes[1:2])


def test_arrays_that_are_not_of_the_layout_are_left_alone(write_npz: Callable[..., Path]) -> None:
    extra = {"det_score_unique": np.zeros(3), "tube_frame_score": np.zeros(9), "note": np.array([None], dtype=object)}
    assert len(read_detections(write_npz(**extra)).detections["b"]) == 2


def test_a_file_without_tubes_has_none_and_one_with_no_tube_has_empty_lists(write_npz: Callable[..., Path]) -> None:
    without = ("labels", "videos", "nframes", "hw", "gt_", "det_")
    assert read_detections(write_npz(only=without)).tubes is None
    none: dict[str, Any] = {f"tube_{name}": [] for name in ("video", "class", "start", "score")}
    path = write_npz(**none, tube_offset=[0], tube_boxes=np.zeros((0, 4)))
    assert read_detections(path).tubes == {"a": [], "b": []}


def test_empty_detections_are_read(write_npz: Callable[..., Path]) -> None:
    none = {f"det_{name}": [] for name in ("video", "frame", "class", "score")} | {"det_boxes": np.zeros((0, 4))}
    file = read_detections(write_npz(**none))
    assert [len(boxes) for boxes in file.detections.values()] == [0, 0]
    assert file.num_videos_without_predictions == 1  # video a has tubes


def test_videos_without_predictions_are_counted(tmp_path: Path) -> None:
    write_detections(tmp_path / "a.npz", annotations(), detections(), {"d": [FOUND]})
    assert read_detections(tmp_path / "a.npz").num_videos_without_predictions == 1


def elsewhere() -> Annotations:
    """Ground truth with the names of that file in another order, among others."""
    videos = tuple(Video(key, Path(key), 10, 240, 320) for key in ("new", "b", "a"))
    return Annotations(("jump", "sit", "run"), videos)


def test_videos_and_classes_are_matched_by_name_to_other_ground_truth(write_npz: Callable[..., Path]) -> None:
    path = write_npz(only=("labels", "videos", "det_", "tube_"))
    file = read_detections(path, annotations=elsewhere())
    assert file.annotations.classes == ("jump", "sit", "run")
    assert list(file.detections) == ["new", "b", "a"]
    assert [len(boxes) for boxes in file.detections.values()] == [0, 2, 1]
    assert file.detections["b"].labels.tolist() == [2, 0]
    assert file.detections["b"].scores.tolist() == [0.5, 0.75]
    assert file.tubes is not None
    assert [tube.label for tube in file.tubes["a"]] == [2, 0]
    assert file.num_videos_without_predictions == 1
    with pytest.raises(AnnotationError, match=r"arrays .*gt_boxes.* are missing"):
        read_detections(path)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (
            Annotations(("jump", "run"), (Video("b", Path("b"), 10, 240, 320),)),
            r"det_video, row 1: .* 0 is the video 'a', which the ground truth does not have; 1 of 3 rows",
        ),
        (
            Annotations(("run",), elsewhere().videos),
            r"det_class, row 1: .* 1 is the class 'jump', which the ground truth does not have; 2 of 3 rows",
        ),
    ],
)
def test_predictions_of_what_other_ground_truth_does_not_have_are_named_or_dropped(
    write_npz: Callable[..., Path], known: Annotations, message: str
) -> None:
    path = write_npz()
    with pytest.raises(AnnotationError, match=message):
        read_detections(path, annotations=known)
    file = read_detections(path, annotations=known, drop_invalid=True)
    assert all("not in the ground truth" in reason for reason in file.dropped)
    assert list(file.detections) == [video.key for video in known.videos]
    assert len(file.detections["b"]) == (2 if len(known.classes) == 2 else 1)


def test_a_video_that_is_listed_without_predictions_need_not_be_annotated(write_npz: Callable[..., Path]) -> None:
    path = write_npz(videos=["a", "b", "c"], labels=["run", "jump", "fly"])
    assert not read_detections(path, annotations=elsewhere()).dropped


def test_tubes_of_their_own_file_replace_those_of_the_detections(write_npz: Callable[..., Path]) -> None:
    path = write_npz(tube_score=[np.nan, 0])  # not looked at
    file = read_detections(path, tubes_path=write_npz("t.npz", only=("tube_",), tube_video=[1, 0]))
    assert file.tubes is not None
    assert [(tube.label, tube.frames.tolist()) for tube in file.tubes["b"]] == [(0, [0, 1])]
    assert [tube.label for tube in file.tubes["a"]] == [1]

    own_names = {"videos": ["b", "a"], "labels": ["jump", "run"]}
    tubes_path = write_npz("t.npz", only=("tube_",), tube_video=[0, 1], **own_names)
    file = read_detections(path, tubes_path=tubes_path)
    assert file.tubes is not None
    assert [(tube.label, tube.frames.tolist()) for tube in file.tubes["b"]] == [(1, [0, 1])]


def test_tubes_of_the_other_convention_are_refused(write_npz: Callable[..., Path]) -> None:
    path = write_npz("a.npz")
    with pytest.raises(
        AnnotationError, match=r"t\.npz declares the format .* and .*a\.npz does not.*write both in one"
    ):
        read_detections(path, tubes_path=write_npz("t.npz", only=("tube_",), format=FORMAT))


def test_ground_truth_is_read_alone(write_npz: Callable[..., Path]) -> None:
    truth = read_annotations(write_npz(only=("labels", "videos", "nframes", "hw", "gt_")))
    assert [len(video.tubes) for video in truth.annotations.videos] == [0, 1]
    assert (truth.half_open, truth.sizes_known) == (False, True)


def test_videos_without_hw_are_as_small_as_their_boxes_allow(write_npz: Callable[..., Path]) -> None:
    boxes = np.array([[0, 1, 5.25, 3], [3, 2, 4, 8], [-5, -5, -2, -2]])
    changes: dict[str, Any] = {"gt_video": [1, 0], "gt_class": [1, 1], "gt_start": [6, 1], "gt_offset": [0, 2, 3]}
    file = read_detections(write_npz(hw=None, gt_boxes=boxes, **changes))
    assert not file.sizes_known
    assert [(video.height, video.width) for video in file.annotations.videos] == [(1, 1), (8, 6)]
    assert [len(video.tubes) for video in file.annotations.videos] == [1, 1]
    assert read_detections(write_npz()).sizes_known


def test_sizes_of_other_ground_truth_are_kept(write_npz: Callable[..., Path]) -> None:
    file = read_detections(write_npz(hw=None), annotations=elsewhere())
    assert file.sizes_known
    assert {(video.height, video.width) for video in file.annotations.videos} == {(240, 320)}


def test_a_file_without_ground_truth_is_told_where_it_can_be_named(write_npz: Callable[..., Path]) -> None:
    for changes in ({"only": ("labels", "videos", "det_")}, {"nframes": None}):
        with pytest.raises(AnnotationError, match=r"'nframes'\] are missing; .* name the file .* --ground-truth"):
            read_detections(write_npz(**changes))
    with pytest.raises(AnnotationError, match=r"arrays \['det_score'\] are missing") as error:
        read_detections(write_npz(det_score=None, nframes=None))
    assert "--ground-truth" not in str(error.value)


def test_bytes_and_whole_floats_are_read(write_npz: Callable[..., Path]) -> None:
    path = write_npz(labels=[b"run", b"jump"], videos=[b"a", b"b"], det_frame=[8.0, 1.0, 2.0], det_video=[1.0, 0.0, 1])
    file = read_detections(path)
    assert file.annotations.classes == ("run", "jump")
    assert file.detections["b"].frames.tolist() == [7, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"det_score": None}, r"arrays \['det_score'\] are missing; there are .*docs/detection_files\.md"),
        ({"tube_start": None, "tube_score": None}, r"arrays \['tube_score', 'tube_start'\] are missing"),
        ({"videos": None}, r"arrays \['videos'\] are missing"),
        ({"format": "stal-detections-9"}, "this version of stal reads 'stal-detections-1"),
        ({"format": 3}, "format is of dtype int64; expected a text"),
        ({"format": ["stal"]}, r"format has the shape \(1,\); expected \(\)"),
        ({"videos": ["a", "a"]}, "videos, row 1: 'a' stands in row 0 too; 1 of 2 rows"),
        ({"labels": ["run", "run"]}, "labels, row 1: 'run' stands in row 0 too; 1 of 2 rows"),
        ({"labels": [0, 1]}, "labels is of dtype int64; expected texts"),
        ({"nframes": [10]}, r"nframes has the shape \(1,\); expected \(2,\)"),
        ({"hw": [240, 320, 3]}, r"hw has the shape \(3,\); expected \(2,\)"),
        ({"hw": np.ones((3, 2))}, r"hw has the shape \(3, 2\); expected \(2, 2\)"),
        ({"det_video": 1}, r"det_video has the shape \(\); expected \(any,\)"),
        ({"det_video": [0, 1]}, r"det_frame has the shape \(3,\); expected \(2,\)"),
        ({"det_frame": [1.5, 2.0, 3.0]}, r"det_frame, row 0: 1\.5 is not a whole number; 1 of 3 values"),
        ({"det_video": ["b", "a", "b"]}, "det_video holds names, the first is 'b'; .* row of each in `videos`"),
        ({"det_class": ["run"] * 3}, "det_class holds names, the first is 'run'; .* row of each in `labels`"),
        ({"tube_video": ["a", "a"]}, "tube_video holds names"),
        ({"gt_class": ["run"]}, "gt_class holds names, .* row of each in `labels`"),
        ({"labels": [b"run", b"\xff"]}, "labels holds bytes that are not UTF-8"),
        ({"det_score": ["a", "b", "c"]}, "det_score is of dtype <U1; expected numbers"),
        ({"det_boxes": np.zeros((2, 4))}, r"det_boxes has the shape \(2, 4\); expected \(3, 4\)"),
        ({"det_boxes": np.zeros((3, 5))}, r"det_boxes has the shape \(3, 5\); expected \(3, 4\)"),
        ({"gt_start": [7, 7]}, r"gt_start has the shape \(2,\); expected \(1,\)"),
        ({"gt_offset": [0, 2]}, "gt_offset, row 1: 2; the last offset is the number of gt_boxes, 3"),
        ({"tube_offset": [1, 2, 3]}, "tube_offset, row 0: 1; the first offset is 0"),
        ({"tube_offset": [0, 0, 3]}, "tube_offset, row 1: 0 after 0; 1 of 2 tubes have no boxes, but offsets rise"),
        ({"tube_offset": [0, 4, 3]}, "tube_offset, row 2: 3 after 4; 1 of 2 tubes"),
        ({"tube_offset": [0, 1]}, r"tube_offset has the shape \(2,\); expected \(3,\)"),
        ({"tube_score": [0.5]}, r"tube_score has the shape \(1,\); expected \(2,\)"),
        ({"tube_frame": [1, 2]}, r"tube_frame has the shape \(2,\); expected \(3,\)"),
    ],
)
@pytest.mark.parametrize("drop_invalid", [False, True])
def test_arrays_at_odds_are_always_refused_by_name(
    write_npz: Callable[..., Path], changes: dict[str, Any], message: str, drop_invalid: bool
) -> None:
    path = write_npz(**changes)
    with pytest.raises(AnnotationError, match=rf"bad\.npz.*{message}"):
        read_detections(path, drop_invalid=drop_invalid)


def test_the_format_says_its_conventions() -> None:
    assert FORMAT == "stal-detections-1: 0-based frames, half-open boxes"


def test_the_documented_examples_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs/detection_files.md").read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(code, {})
    videos = tuple(Video(key, Path(key), 5, 240, 320) for key in ("a", "b"))
    truth = Annotations(("run", "jump"), videos)
    half_open = read_detections("detections.npz", annotations=truth)
    matrix = read_detections("matrix.npz", annotations=truth).detections["a"]
    assert list(zip(matrix.frames, matrix.labels, matrix.scores, strict=True)) == [
        (0, 0, 0.9),
        (0, 1, 0.05),
        (1, 1, 0.6),
    ]
    inclusive = read_detections("detections_from_1.npz", tubes_path="tubes_from_1.npz", annotations=truth)
    assert (half_open.half_open, inclusive.half_open) == (True, False)
    a, b = half_open.detections["a"], inclusive.detections["a"]
    assert a.frames.tolist() == b.frames.tolist() == [0, 1]
    np.testing.assert_array_equal(a.boxes, b.boxes + np.array([0, 0, 1, 1]))
    for file in (half_open, inclusive):
        assert file.tubes is not None
        np.testing.assert_array_equal(file.tubes["a"][0].boxes, file.detections["a"].boxes)
        assert file.tubes["a"][0].frames.tolist() == [0, 1]


@pytest.mark.data
@pytest.mark.parametrize("linker", ["moc_k1", "yowov2_viterbi", "retina3d_indiv"])
def test_tubes_of_other_linkers_are_read(shared: Path, linker: str) -> None:
    path = shared / f"oracles/linking/{linker}_small.npz"
    file = read_detections(shared / "oracles/oracle_small.npz", tubes_path=path)
    with np.load(path) as arrays:
        assert file.tubes is not None
        assert sum(map(len, file.tubes.values())) == len(arrays["tube_video"])


@pytest.mark.data
def test_tubes_with_nan_boxes_of_another_linker_are_dropped(shared: Path) -> None:
    paths = shared / "oracles/oracle_small.npz", shared / "oracles/linking/act_k1_small.npz"
    with pytest.raises(AnnotationError, match=r"tube_boxes, row 30: box not finite.*708 of 5038 rows"):
        read_detections(paths[0], tubes_path=paths[1])
    assert read_detections(paths[0], tubes_path=paths[1], drop_invalid=True).dropped == {
        "tube_boxes: box not finite": 64
    }
