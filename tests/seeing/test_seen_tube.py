from pathlib import Path

import numpy as np
import pytest

from stal.data.detection_files import write_detections
from stal.errors import AnnotationError, ConfigError
from stal.linking.linker import LINKERS
from stal.seeing.seen_tube import choose_annotated, choose_detected, read_tubes
from stal.structures import Annotations, Detections, Tube, Video

CLASSES = ("walk", "wave")


def tube(label: int, score: float | None = None, number: int = 0, first: int = 0) -> Tube:
    boxes = np.tile(np.array([4, 4, 20, 20], np.float32), (20, 1))
    return Tube(label, np.arange(first, first + 20), boxes, id=number, score=score)


FOUND = [tube(0, 0.3), tube(1, 0.9), tube(0, 0.7)]


@pytest.mark.parametrize(
    ("action", "rank", "score", "origin"),
    [
        (None, 0, 0.9, "surest of 3 detections"),
        (None, 1, 0.7, "no. 2 of 3 detections"),
        ("walk", 0, 0.7, "surest of 2 detections"),
        ("walk", 1, 0.3, "no. 2 of 2 detections"),
        ("wave", 0, 0.9, "surest of 1 detection"),
    ],
)
def test_a_detected_tube_is_chosen_by_class_and_rank(action, rank, score, origin):
    chosen = choose_detected(FOUND, CLASSES, action=action, rank=rank)
    assert (chosen.tube.score, chosen.origin) == (score, origin)


@pytest.mark.parametrize(
    ("tubes", "action", "rank", "said"),
    [
        ([], None, 0, "nothing is detected in this video: is the checkpoint trained"),
        (FOUND[:1], "wave", 0, "nothing of 'wave' is detected in this video, but walk"),
        (FOUND, None, 3, "--rank 3: there are 3 detected tubes, numbered from 0"),
        (FOUND, None, -1, "--rank -1"),
        (FOUND, "wave", 1, "1 detected tubes of 'wave'"),
        (FOUND, "juggle", 0, "--class 'juggle' is none of walk, wave"),
    ],
)
def test_a_detected_tube_that_is_not_there_is_an_error(tubes, action, rank, said):
    with pytest.raises(ConfigError, match=said):
        choose_detected(tubes, CLASSES, action=action, rank=rank)


def video(*tubes: Tube, key: str = "a") -> Video:
    return Video(key, Path("a.mp4"), 60, 48, 64, tubes=tubes)


def test_an_annotated_tube_is_chosen_by_class_and_number():
    annotated = video(tube(0), tube(1, number=1), tube(1, number=2, first=5))
    assert choose_annotated(annotated, CLASSES, action=None, number=1).tube.id == 1
    chosen = choose_annotated(annotated, CLASSES, action="wave", number=1)
    assert (chosen.tube.id, chosen.origin) == (2, "ground truth 1")
    assert choose_annotated(annotated, CLASSES, action="walk", number=0).origin == "ground truth"


@pytest.mark.parametrize("number", [-1, 1])
def test_an_annotated_tube_that_is_not_there_is_an_error(number):
    with pytest.raises(AnnotationError, match=f"--ground-truth {number}: video a has 1 annotated tubes"):
        choose_annotated(video(tube(0)), CLASSES, action=None, number=number)


def test_tubes_are_read_from_a_file_of_detections(tmp_path):
    annotations = Annotations(CLASSES, (video(tube(0)), video(tube(1), key="b")))
    write_detections(tmp_path / "d.npz", annotations, {}, {"b": [tube(1, 0.5), tube(0, 0.25)]})
    found = read_tubes(str(tmp_path / "d.npz"), annotations, annotations.videos[1], LINKERS["default"])
    assert [(t.label, t.score) for t in found] == [(1, 0.5), (0, 0.25)]
    assert read_tubes(str(tmp_path / "d.npz"), annotations, annotations.videos[0], LINKERS["default"]) == []


def test_detections_of_a_file_without_tubes_are_linked(tmp_path):
    annotations = Annotations(CLASSES, (video(tube(0)),))
    frames = np.arange(20)
    boxes = Detections(frames, tube(0).boxes, np.ones(20, np.int64), np.full(20, 0.5))
    write_detections(tmp_path / "d.npz", annotations, {"a": boxes}, {})
    with np.load(tmp_path / "d.npz") as arrays:
        alone = {name: array for name, array in arrays.items() if not name.startswith("tube")}
    np.savez(tmp_path / "alone.npz", **alone)
    (found,) = read_tubes(str(tmp_path / "alone.npz"), annotations, annotations.videos[0], LINKERS["default"])
    assert found.label == 1 and len(found) == 20
