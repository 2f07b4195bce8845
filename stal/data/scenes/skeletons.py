"""The joints of the actors of a performance, in the order of `stal.structures.keypoints.JOINTS`."""

import numpy as np
from jaxtyping import Float32, UInt8

from stal.data.scenes.actors import Skeleton
from stal.data.scenes.performances import Actor, Performance
from stal.structures.keypoints import JOINTS

NOT_THERE, HIDDEN, SEEN = 0, 1, 2
"""Visibility of a joint, as COCO has it; outside of the image a joint is not there."""

_PAIRS = {
    "shoulder": "shoulders",
    "elbow": "elbows",
    "wrist": "hands",
    "hip": "hips",
    "knee": "knees",
    "ankle": "ankles",
}
_IS_KNOWN = np.array([name == "nose" or name.split("_")[1] in _PAIRS for name in JOINTS])


def joint_positions(performance: Performance) -> Float32[np.ndarray, "N T 17 2"]:
    """Return where the joints of every actor are, in continuous pixels; zero for the eyes and ears, which none has."""
    return np.stack([_positions(actor) for actor in performance.actors])


def joint_visibility(
    positions: Float32[np.ndarray, "N T 17 2"], masks: UInt8[np.ndarray, "T H W"]
) -> UInt8[np.ndarray, "N T 17"]:
    """Return whether joints are seen, hidden by nearer actors, or not there.

    Args:
        positions: of the joints of every actor, far actors first.
        masks: the visible silhouettes: v is actor v - 1, 0 is no actor.
    """
    height, width = masks.shape[1:]
    x, y = np.floor(positions).astype(np.int64).transpose(3, 0, 1, 2)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & _IS_KNOWN
    frames = np.arange(len(masks))[:, None]
    shown = masks[frames, y.clip(0, height - 1), x.clip(0, width - 1)]
    own = np.arange(1, len(positions) + 1)[:, None, None]
    return np.where(inside, np.where(shown > own, HIDDEN, SEEN), NOT_THERE).astype(np.uint8)


def _positions(actor: Actor) -> Float32[np.ndarray, "T 17 2"]:
    joints = _joints(actor.skeleton)
    points = np.zeros((len(actor.foot), len(JOINTS), 2))
    for number, name in enumerate(JOINTS):
        if name in joints:
            points[:, number] = actor.foot + actor.height * joints[name][:, :2]
    return points.astype(np.float32)


def _joints(skeleton: Skeleton) -> dict[str, np.ndarray]:
    """Return the joints of a skeleton by COCO's names."""
    joints = {"nose": skeleton.face}
    for name, of_skeleton in _PAIRS.items():
        pair = getattr(skeleton, of_skeleton)
        joints |= {f"left_{name}": pair[:, 0], f"right_{name}": pair[:, 1]}
    return joints
