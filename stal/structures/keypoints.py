"""Joints of the persons in a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from stal.errors import ShapeError
from stal.structures.describe import ShapeRepr

JOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""Names of the joints in their order, which is COCO's; left and right are the person's own."""

UNKNOWN_TUBE = -1
"""In `Keypoints.tube_ids`: it is not said which tube the person is annotated by, if by any."""


@dataclass(frozen=True, eq=False, repr=False)
class Keypoints(ShapeRepr):
    """The joints of the N persons of a video, on each of its T frames.

    Attributes:
        positions: x and y in continuous pixels of the video, as boxes have them; of no meaning where the score is 0.
        scores: how sure a joint is, between 0 and 1. 0 says that it is not there: it is hidden, outside of the image,
            or one that the source of the joints does not know, or the person is not in the frame.
        tube_ids: id of the tube that each person is annotated by, or `UNKNOWN_TUBE`.
    """

    positions: Float32[np.ndarray, "N T 17 2"]
    scores: Float32[np.ndarray, "N T 17"]
    tube_ids: Int64[np.ndarray, " N"]

    def __post_init__(self) -> None:
        persons, frames, *_ = self.positions.shape
        if self.scores.shape != (persons, frames, len(JOINTS)) or self.tube_ids.shape != (persons,):
            raise ShapeError(
                f"keypoints: scores {self.scores.shape} and tube_ids {self.tube_ids.shape} must be "
                f"({persons}, {frames}, {len(JOINTS)}) and ({persons},) for positions {self.positions.shape}"
            )
        bad = ~((self.scores >= 0) & (self.scores <= 1))
        if bad.any():
            raise ShapeError(
                f"keypoints: {int(bad.sum())} scores are not between 0 and 1, such as {self.scores[bad][0]} of the "
                f"{JOINTS[np.argwhere(bad)[0, 2]]} on frame {np.argwhere(bad)[0, 1]}"
            )
        if not np.isfinite(self.positions).all():
            person, frame, joint, _ = np.argwhere(~np.isfinite(self.positions))[0]
            raise ShapeError(
                f"keypoints: the {JOINTS[joint]} of person {person} on frame {frame} is at "
                f"{self.positions[person, frame, joint].tolist()}; give a joint that is not there the score 0 and any "
                "finite position"
            )
        known = self.tube_ids[self.tube_ids != UNKNOWN_TUBE]
        if len(np.unique(known)) < len(known):
            raise ShapeError(f"keypoints: two persons have one tube id, of {self.tube_ids.tolist()}")

    def __len__(self) -> int:
        return len(self.tube_ids)
