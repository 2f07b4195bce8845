"""Articulated actors: how they look, and where their joints are."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from stal.data.scenes.actions import Pose
from stal.data.scenes.colours import Colour, random_colour

# Lengths in body heights: thigh + shin + torso + head reach 1.
THIGH = SHIN = 0.24
TORSO = 0.30
UPPER_ARM, FOREARM = 0.17, 0.16
HEAD_RADIUS = 0.085
HEAD_HEIGHT = 0.125  # of its centre above the neck
SHOULDER, HIP = 0.105, 0.06  # half widths
FOOT = 0.07


@dataclass(frozen=True)
class Look:
    """What an actor looks like, whatever it does.

    Attributes:
        skin, hair, shirt, trousers, shoes, prop: colours.
        build: breadth of body and limbs, 1 is average.
        long_sleeves: whether the forearms have the colour of the shirt.
    """

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    prop: Colour
    build: float
    long_sleeves: bool

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Look":
        """Draw a look."""
        tone = rng.uniform()
        skin = np.array([244, 205, 175]) * (1 - tone) + np.array([112, 72, 48]) * tone
        red, green, blue = skin.astype(int).tolist()
        return cls(
            skin=(red, green, blue),
            hair=random_colour(rng, value=(0.08, 0.7)),
            shirt=random_colour(rng),
            trousers=random_colour(rng, value=(0.2, 0.9)),
            shoes=random_colour(rng, value=(0.1, 0.6)),
            prop=random_colour(rng, value=(0.5, 1.0)),
            build=rng.uniform(0.85, 1.3),
            long_sleeves=bool(rng.uniform() < 0.5),
        )


@dataclass(frozen=True)
class Skeleton:
    """Joints of an actor over T frames, in body heights.

    Points are (x, y, depth): x right and y down in the image from the point on the ground between the feet, depth
    towards the camera. Pairs are (left, right).
    """

    neck: Float[np.ndarray, "T 3"]
    head: Float[np.ndarray, "T 3"]
    face: Float[np.ndarray, "T 3"]
    shoulders: Float[np.ndarray, "T 2 3"]
    elbows: Float[np.ndarray, "T 2 3"]
    hands: Float[np.ndarray, "T 2 3"]
    hips: Float[np.ndarray, "T 2 3"]
    knees: Float[np.ndarray, "T 2 3"]
    ankles: Float[np.ndarray, "T 2 3"]
    toes: Float[np.ndarray, "T 2 3"]


def _direction(segment: Float[np.ndarray, "T 2 2"]) -> Float[np.ndarray, "T 2 3"]:
    """Return the unit vectors (forward, left, up) of the left and right (swing, abduction)."""
    swing, abduction = segment[..., 0], segment[..., 1]
    outwards = np.array([1.0, -1.0])  # the left limb's outside is left
    return np.stack(
        [np.sin(swing) * np.cos(abduction), outwards * np.sin(abduction), -np.cos(swing) * np.cos(abduction)], axis=-1
    )


def pose_skeleton(pose: Pose) -> Skeleton:
    """Return the joints of a pose: the feet stand on the ground (but for `rise`), and between them is the origin."""
    zero = np.zeros_like(pose.torso)
    spine = np.stack([np.sin(pose.torso), zero, np.cos(pose.torso)], axis=-1)
    left = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])  # of (left, right)
    forward = np.array([1.0, 0.0, 0.0])

    hips = np.broadcast_to(HIP * left, (len(zero), 2, 3))
    knees = hips + THIGH * _direction(pose.legs[:, :, 0])
    ankles = knees + SHIN * _direction(pose.legs[:, :, 1])
    neck = TORSO * spine
    head = neck + HEAD_HEIGHT * spine
    shoulders = neck[:, None] + SHOULDER * left
    elbows = shoulders + UPPER_ARM * _direction(pose.arms[:, :, 0])
    body = {
        "neck": neck,
        "head": head,
        "face": head + 0.35 * HEAD_RADIUS * forward,
        "shoulders": shoulders,
        "elbows": elbows,
        "hands": elbows + FOREARM * _direction(pose.arms[:, :, 1]),
        "hips": hips,
        "knees": knees,
        "ankles": ankles,
        "toes": ankles + FOOT * forward,
    }
    origin = np.stack([ankles[..., 0].mean(axis=1), zero, ankles[..., 2].min(axis=1) - pose.rise], axis=-1)
    cosine, sine = np.cos(pose.turn), np.sin(pose.turn)
    # Rows are x, y, depth in terms of (forward, left, up).
    rotation = np.stack(
        [
            np.stack([sine, cosine, zero], axis=-1),
            np.stack([zero, zero, zero - 1], axis=-1),
            np.stack([cosine, -sine, zero], axis=-1),
        ],
        axis=1,
    )

    def project(points: np.ndarray) -> np.ndarray:
        moved = points - (origin if points.ndim == 2 else origin[:, None])
        return np.einsum("tij,t...j->t...i", rotation, moved)

    return Skeleton(**{name: project(points) for name, points in body.items()})
