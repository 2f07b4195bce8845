import numpy as np
import pytest

from stal.errors import ConfigError
from stal.linking.candidates import Candidates
from stal.structures import Detections


def detections(*rows: tuple[int, tuple[float, ...], int, float]) -> Detections:
    frames, boxes, labels, scores = zip(*rows, strict=True)
    return Detections(
        np.array(frames, np.int64), np.array(boxes, np.float32), np.array(labels, np.int64), np.array(scores)
    )


def at(x: float) -> tuple[float, ...]:
    return (x, 0.0, x + 10, 10.0)


def test_nothing_stays_nothing() -> None:
    assert len(Candidates()(Detections.empty())) == 0


def test_a_box_at_the_floor_is_kept_and_one_below_is_not() -> None:
    found = detections((0, at(0), 0, 0.5), (0, at(50), 0, 0.499))
    assert Candidates(min_score=0.5)(found).scores.tolist() == [0.5]


def test_overlapping_boxes_of_one_class_and_frame_count_as_one() -> None:
    found = detections((0, at(0), 0, 0.5), (0, at(1), 0, 0.9), (0, at(1), 1, 0.4), (1, at(1), 0, 0.3))
    assert Candidates()(found).scores.tolist() == [0.9, 0.3, 0.4]


def test_the_best_few_of_each_class_and_frame_are_kept_sorted() -> None:
    found = detections(*((frame, at(20 * i), label, 0.1 * i) for frame in (1, 0) for label in (1, 0) for i in range(5)))
    kept = Candidates(top_k=2)(found)
    assert kept.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert kept.frames.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    np.testing.assert_allclose(kept.scores, [0.4, 0.3] * 4)


def test_equal_scores_are_sorted_by_coordinates() -> None:
    found = detections((0, at(60), 0, 0.5), (0, at(20), 0, 0.5), (0, at(40), 0, 0.5))
    assert Candidates(top_k=2)(found).boxes[:, 0].tolist() == [20, 40]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_score": -0.1}, "min_score -0.1: choose a finite number of at least 0"),
        ({"min_score": float("nan")}, "min_score nan"),
        ({"nms_iou": 1.1}, "nms_iou 1.1: choose a number from 0 to 1"),
        ({"top_k": 0}, "top_k 0: choose a whole number of at least 1"),
    ],
)
def test_impossible_parameters_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Candidates(**options)
