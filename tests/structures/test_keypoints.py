"""Keypoints refuse what no reader may hand on."""

from collections.abc import Iterator

import jaxtyping
import numpy as np
import pytest

from stal.errors import ShapeError
from stal.structures import JOINTS, Keypoints


@pytest.fixture(autouse=True)
def _unchecked_shapes() -> Iterator[None]:
    """Leave the checks of shapes to the structure."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def make(**changes: np.ndarray) -> Keypoints:
    arrays = {
        "positions": np.zeros((2, 3, 17, 2), np.float32),
        "scores": np.ones((2, 3, 17), np.float32),
        "tube_ids": np.array([4, -1]),
    }
    return Keypoints(**(arrays | changes))


def test_joints_are_cocos_and_a_person_counts() -> None:
    assert len(JOINTS) == 17
    assert (JOINTS[0], JOINTS[9], JOINTS[16]) == ("nose", "left_wrist", "right_ankle")
    assert len(make()) == 2
    assert len(make(positions=np.zeros((0, 3, 17, 2), np.float32), scores=np.zeros((0, 3, 17), np.float32),
                    tube_ids=np.zeros(0, np.int64))) == 0  # fmt: skip


def test_several_persons_may_have_an_unknown_tube() -> None:
    assert make(tube_ids=np.array([-1, -1])).tube_ids.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.ones((2, 4, 17), np.float32)}, r"scores \(2, 4, 17\).*must be \(2, 3, 17\)"),
        ({"tube_ids": np.array([1])}, r"tube_ids \(1,\)"),
        ({"tube_ids": np.array([4, 4])}, r"two persons have one tube id, of \[4, 4\]"),
        (
            {"scores": np.full((2, 3, 17), 1.5, np.float32)},
            "102 scores are not between 0 and 1, such as 1.5 of the nose",
        ),
        ({"scores": np.full((2, 3, 17), np.nan, np.float32)}, "such as nan of the nose on frame 0"),
        ({"positions": np.full((2, 3, 17, 2), np.inf, np.float32)}, "the nose of person 0 on frame 0 is at"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        make(**changes)
