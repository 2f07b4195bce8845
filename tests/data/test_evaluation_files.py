from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.data.detection_files import FORMAT, write_detections
from stal.data.evaluation_files import read_evaluation
from stal.data.formats.tubes_json import write_tubes_json
from stal.data.ground_truth import read_ground_truth
from stal.errors import AnnotationError, ConfigError
from stal.structures import Annotations, Tube, Video

TRUTH = ("labels", "videos", "nframes", "hw", "gt_")
PREDICTIONS = ("labels", "videos", "det_", "tube_")
HALF_OPEN: dict[str, Any] = {"format": FORMAT, "gt_start": [5], "tube_start": [0, 9], "det_frame": [7, 0, 1]}
BOX = [0, 0, 4, 4]  # the first one of the ground truth in these files


@pytest.mark.parametrize(
    ("truth", "predictions", "box"),
    [
        ({}, {}, BOX),
        (HALF_OPEN, HALF_OPEN, BOX),
        ({}, HALF_OPEN, [0, 0, 5, 5]),
        (HALF_OPEN, {}, [0, 0, 3, 3]),
    ],
)
def test_ground_truth_is_brought_to_the_convention_of_the_detections(
    write_npz: Callable[..., Path], truth: dict[str, Any], predictions: dict[str, Any], box: list[float]
) -> None:
    truth = {name: value for name, value in truth.items() if not name.startswith(("tube", "det"))}
    predictions = {name: value for name, value in predictions.items() if not name.startswith("gt")}
    paths = write_npz("truth.npz", only=TRUTH, **truth), write_npz("found.npz", only=PREDICTIONS, **predictions)
    file = read_evaluation(*paths)
    assert file.half_open == ("format" in predictions)
    (tube,) = file.annotations.videos[1].tubes
    assert tube.boxes[0].tolist() == box
    assert tube.frames.tolist() == [5, 6, 7]
    assert file.detections["a"].boxes.tolist() == [[1, 0, 5, 4]]
    assert file.detections["a"].frames.tolist() == [0]
    assert file.tubes is not None
    assert [found.frames.tolist() for found in file.tubes["a"]] == [[0, 1], [9]]
    assert file.num_videos_without_predictions == 0


def test_without_ground_truth_that_of_the_detections_is_used(write_npz: Callable[..., Path]) -> None:
    file = read_evaluation(None, write_npz(det_score=[np.nan, 1, 1]), drop_invalid=True)
    assert [len(video.tubes) for video in file.annotations.videos] == [0, 1]
    assert file.dropped == {"det_score: score not finite": 1}
    with pytest.raises(ConfigError, match="has no splits, but 'test' was chosen"):
        read_evaluation(None, write_npz(), split="test")


def test_sizes_are_known_if_the_ground_truth_knows_them(write_npz: Callable[..., Path]) -> None:
    known, unknown = write_npz("known.npz"), write_npz("unknown.npz", hw=None)
    pairs: list[tuple[Path | None, Path]] = [(None, known), (None, unknown), (known, unknown), (unknown, known)]
    assert [read_evaluation(*pair).sizes_known for pair in pairs] == [True, False, True, False]


def test_tubes_may_be_in_a_file_of_their_own_or_nowhere(write_npz: Callable[..., Path]) -> None:
    detections = write_npz("found.npz", only=("labels", "videos", "det_"))
    truth = write_npz("truth.npz", only=TRUTH)
    assert read_evaluation(truth, detections).tubes is None
    tubes = read_evaluation(truth, detections, write_npz("tubes.npz", only=("tube_",))).tubes
    assert tubes is not None
    assert {key: len(of_video) for key, of_video in tubes.items()} == {"a": 2, "b": 0}


def test_the_split_of_the_ground_truth_can_be_chosen(tmp_path: Path) -> None:
    tube = Tube(0, np.array([0]), np.array([BOX], np.float32))
    videos = tuple(Video(split, Path(split), 9, 24, 32, tubes=(tube,), split=split) for split in ("train", "test"))
    write_tubes_json(Annotations(("run",), videos), tmp_path / "GT.json")
    write_detections(tmp_path / "found.npz", Annotations(("run",), videos[1:]), {}, {})
    file = read_evaluation(tmp_path / "GT.json", tmp_path / "found.npz", split="test")
    assert [video.key for video in file.annotations.videos] == ["test"]
    assert file.num_videos_without_predictions == 1


def test_ground_truth_too_small_for_inclusive_pixels_is_named(tmp_path: Path, write_npz: Callable[..., Path]) -> None:
    tube = Tube(0, np.array([0]), np.array([[0, 0, 1, 9]], np.float32))
    videos = (Video("a", Path("a"), 10, 24, 32, tubes=(tube,)), Video("b", Path("b"), 8, 24, 32))
    write_tubes_json(Annotations(("run", "jump"), videos), tmp_path / "GT.json")
    with pytest.raises(AnnotationError, match=r"GT\.json: video a: .*in one convention"):
        read_evaluation(tmp_path / "GT.json", write_npz())


@pytest.mark.data
def test_detections_of_one_evaluator_meet_the_ground_truth_of_another_by_name(shared: Path) -> None:
    file = read_evaluation(shared / "annotations/ucf24/pyannot.pkl", shared / "oracles/oracle_medium.npz")
    assert len(file.annotations.videos) == 910
    assert file.num_videos_without_predictions == 710
    assert sum(map(len, file.detections.values())) == 135373
    assert not file.half_open
    own = read_ground_truth(shared / "oracles/oracle_medium.npz").annotations
    tubes = {video.key: video.tubes for video in file.annotations.videos}
    for video in own.videos:
        for tube, other in zip(video.tubes, tubes[video.key], strict=True):
            assert tube.frames.tolist() == other.frames.tolist()
            np.testing.assert_array_equal(tube.boxes, other.boxes - 1)  # this file takes 1 from the stored x and y
