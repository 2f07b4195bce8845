"""Boxes around joints, and whose tube a person has."""

import numpy as np
import pytest

from stal.data.keypoint_boxes import joint_boxes, tubes_of_persons
from stal.structures import Keypoints, Tube


@pytest.mark.parametrize(
    ("joints", "scores", "grow", "box", "valid"),
    [
        ([[1, 2], [5, 10]], [1, 0.1], 0.0, [1, 2, 5, 10], True),
        ([[1, 2], [5, 10]], [1, 1], 0.5, [0, 0, 6, 12], True),
        ([[1, 2], [5, 10], [99, 99]], [1, 1, 0], 0.0, [1, 2, 5, 10], True),
        ([[1, 2], [5, 10]], [1, 0], 0.5, [0, 0, 0, 0], False),  # one joint has no area
        ([[1, 2], [5, 2]], [1, 1], 0.5, [0, 0, 0, 0], False),  # nor have two on a line
        ([[1, 2], [5, 10]], [0, 0], 0.0, [0, 0, 0, 0], False),
    ],
)
def test_joint_boxes(joints: list, scores: list, grow: float, box: list, valid: bool) -> None:
    found, seen = joint_boxes(np.array([joints], np.float32), np.array([scores], np.float32), grow)
    assert (found[0].tolist(), seen.tolist()) == (box, [valid])


def keypoints(corners: list[tuple[float, float, float, float]], tube_ids: list[int], frames: int = 3) -> Keypoints:
    """Return persons with joints in two corners of a box, on all frames."""
    positions = np.zeros((len(corners), frames, 17, 2), np.float32)
    scores = np.zeros((len(corners), frames, 17), np.float32)
    scores[:, :, :2] = 1
    for row, (x1, y1, x2, y2) in enumerate(corners):
        positions[row, :, 0], positions[row, :, 1] = (x1, y1), (x2, y2)
    return Keypoints(positions, scores, np.array(tube_ids))


def tube(number: int, box: tuple[float, float, float, float], frames: list[int] | None = None) -> Tube:
    frames = [0, 1, 2] if frames is None else frames
    return Tube(0, np.array(frames), np.array([box] * len(frames), np.float32), id=number)


TUBES = (tube(7, (0, 0, 10, 20)), tube(2, (30, 0, 40, 20), [1]))


@pytest.mark.parametrize(
    ("corners", "tube_ids", "expected"),
    [
        ([(30, 0, 40, 20), (0, 0, 10, 20)], [-1, -1], [1, 0]),
        ([(30, 0, 40, 20)], [7], [0]),  # its id is known, whatever the overlap
        ([(0, 0, 10, 20)], [5], [-1]),  # and has no tube
        ([(0, 0, 10, 20), (1, 1, 10, 20)], [-1, -1], [0, 0]),  # found again after it was lost
        ([(10, 0, 20, 20)], [-1], [-1]),  # touching is no overlap
        ([(8, 0, 18, 20)], [-1], [-1]),  # nor is a little
        ([], [], []),
    ],
)
def test_persons_find_their_tubes(corners: list, tube_ids: list[int], expected: list[int]) -> None:
    persons = keypoints(corners, tube_ids) if corners else keypoints([(0, 0, 1, 1)], [-1])
    if not corners:
        persons = Keypoints(persons.positions[:0], persons.scores[:0], persons.tube_ids[:0])
    assert tubes_of_persons(persons, TUBES).tolist() == expected


def test_without_tubes_nobody_has_one() -> None:
    assert tubes_of_persons(keypoints([(0, 0, 9, 9)], [-1]), ()).tolist() == [-1]
