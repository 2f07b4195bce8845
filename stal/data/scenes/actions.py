"""What actors do: nine actions, each a motion of a 3-D skeleton and, in three of them, an object in the hand.

An action with an object has the very motion of one without (`walk` and `walk_umbrella`), so that only the object, a
static thing inside the actor, tells the two apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Angle = Float[np.ndarray, " T"]
Prop = Literal["umbrella", "ball", "racket"]

JUMP_HEIGHT = 0.28
"""How far both feet leave the ground, in body heights."""


@dataclass(frozen=True)
class Pose:
    """Angles of a skeleton over T frames, in radians, in the body's own frame (forward, left, up).

    Limb segments give (swing, abduction): swing 0 hangs down, pi/2 points forward, pi points up; abduction turns the
    segment outwards, away from the body's midline (pi/2 points sideways).

    Attributes:
        torso: lean of the torso, forward.
        turn: 0 faces the camera, pi/2 faces the right image border.
        rise: height of the lowest foot above the ground, in body heights.
        arms: (T, arm, segment, angle) for (left, right), (upper, lower), (swing, abduction).
        legs: the same for thighs and shins.
    """

    torso: Angle
    turn: Angle
    rise: Angle
    arms: Float[np.ndarray, "T 2 2 2"]
    legs: Float[np.ndarray, "T 2 2 2"]

    def blend(self, other: "Pose", weight: Angle) -> "Pose":
        """Return this pose where `weight` is 0 and `other` where it is 1; the body turns the shorter way."""
        w = weight[:, None, None, None]
        turn = (other.turn - self.turn + np.pi) % (2 * np.pi) - np.pi
        return Pose(
            torso=self.torso + weight * (other.torso - self.torso),
            turn=self.turn + weight * turn,
            rise=self.rise + weight * (other.rise - self.rise),
            arms=self.arms + w * (other.arms - self.arms),
            legs=self.legs + w * (other.legs - self.legs),
        )


Motion = Callable[[Angle, float], Pose]
"""Takes the phase (one cycle is 2 pi) and the facing (-1 to 1: how far left or right), gives the pose."""


@dataclass(frozen=True)
class Action:
    """A motion, with an object in the hand or without.

    Attributes:
        motion: the pose at a phase.
        prop: the held object.
        stride: way forward in one cycle, in body heights.
    """

    motion: Motion
    prop: Prop | None = None
    stride: float = 0.0


def _segments(*parts: tuple[Angle | int, Angle | int], like: Angle) -> Float[np.ndarray, "T 2 2 2"]:
    """Stack the four segments of a pair of limbs (left upper, left lower, right upper, right lower), in degrees."""
    angles = [np.broadcast_to(angle, like.shape) for part in parts for angle in part]
    return np.deg2rad(np.stack(angles, axis=-1)).reshape(len(like), 2, 2, 2)


def _sideways(facing: float, least: float, most: float) -> float:
    """Return a turn towards the side of `facing`, between `least` and `most` degrees."""
    return float(np.copysign(np.deg2rad(least + (most - least) * abs(facing)), facing))


def stand(phase: Angle, facing: float) -> Pose:
    """Stand idle, the arms hanging."""
    still = np.zeros_like(phase)
    return Pose(
        torso=still,
        turn=still + _sideways(facing, 10.0, 60.0),
        rise=still,
        arms=_segments((2, 9), (8, 6), (2, 9), (8, 6), like=phase),
        legs=_segments((0, 5), (0, 3), (0, 5), (0, 3), like=phase),
    )


def walk(phase: Angle, facing: float) -> Pose:
    """Walk to the side; one arm swings and the other is bent, its fist before the chest."""
    sine, cosine = np.sin(phase), np.cos(phase)
    left, right = 36 * sine, -36 * sine
    knee_left, knee_right = 8 + 48 * np.maximum(cosine, 0), 8 + 48 * np.maximum(-cosine, 0)
    still = np.zeros_like(phase)
    return Pose(
        torso=still + np.deg2rad(5),
        turn=still + _sideways(facing, 62.0, 85.0),
        rise=0.015 * np.abs(cosine),
        arms=_segments((right, 6), (right + 22, 4), (22 + 6 * sine, 8), (118 + 6 * sine, 0), like=phase),
        legs=_segments((left, 2), (left - knee_left, 0), (right, 2), (right - knee_right, 0), like=phase),
    )


def jump(phase: Angle, facing: float) -> Pose:
    """Crouch with both hands before the chest, then leap with both hands over the head."""
    cycle = (phase / (2 * np.pi)) % 1
    crouch = np.where(cycle < 0.45, np.sin(np.pi * cycle / 0.45), 0)
    flight = np.where(cycle < 0.45, 0, (cycle - 0.45) / 0.55)
    leap = 4 * flight * (1 - flight)
    upper, lower = 35 + 115 * leap, 85 + 85 * leap
    thigh, shin = 62 * crouch + 14 * leap, -58 * crouch - 26 * leap
    still = np.zeros_like(phase)
    return Pose(
        torso=np.deg2rad(30 * crouch),
        turn=still + _sideways(facing, 15.0, 50.0),
        rise=JUMP_HEIGHT * leap,
        arms=_segments((upper, 6), (lower, -24), (upper, 6), (lower, -24), like=phase),
        legs=_segments((thigh, 10), (shin, 4), (thigh, 10), (shin, 4), like=phase),
    )


def wave(phase: Angle, facing: float) -> Pose:
    """Swing both arms from side to side over the head."""
    upper, lower = 58 * np.sin(phase), 78 * np.sin(phase - 0.4)
    still = np.zeros_like(phase)
    return Pose(
        torso=still,
        turn=still + _sideways(facing, 0.0, 25.0),
        rise=still,
        arms=_segments((0, 168 - upper), (0, 176 - lower), (0, 168 + upper), (0, 176 + lower), like=phase),
        legs=_segments((0, 12), (0, 6), (0, 12), (0, 6), like=phase),
    )


def squat(phase: Angle, facing: float) -> Pose:
    """Bend the knees deeply, the arms stretched forward."""
    depth = (1 - np.cos(phase)) / 2
    still = np.zeros_like(phase)
    arm = 25 + 65 * depth
    return Pose(
        torso=np.deg2rad(38 * depth),
        turn=still + _sideways(facing, 45.0, 80.0),
        rise=still,
        arms=_segments((arm, 5), (arm + 4, 3), (arm, 5), (arm + 4, 3), like=phase),
        legs=_segments((100 * depth, 9), (-38 * depth, 3), (100 * depth, 9), (-38 * depth, 3), like=phase),
    )


def bow(phase: Angle, facing: float) -> Pose:
    """Bend the torso forward to 80 degrees on straight legs, the arms hanging."""
    depth = (1 - np.cos(phase)) / 2
    still = np.zeros_like(phase)
    return Pose(
        torso=np.deg2rad(84 * depth),
        turn=still + _sideways(facing, 62.0, 88.0),
        rise=still,
        arms=_segments((12 * depth, 8), (16 * depth, 4), (12 * depth, 8), (16 * depth, 4), like=phase),
        legs=_segments((10 * depth, 5), (10 * depth, 2), (10 * depth, 5), (10 * depth, 2), like=phase),
    )


def spin(phase: Angle, facing: float) -> Pose:
    """Turn about the body's axis with the arms stretched sideways: their width goes with the cosine of the turn."""
    still = np.zeros_like(phase)
    return Pose(
        torso=still,
        turn=float(np.copysign(1, facing)) * phase,
        rise=still,
        arms=_segments((0, 88), (0, 94), (0, 88), (0, 94), like=phase),
        legs=_segments((0, 9), (0, 5), (0, 9), (0, 5), like=phase),
    )


ACTIONS: dict[str, Action] = {
    "walk": Action(walk, stride=0.65),
    "jump": Action(jump),
    "wave": Action(wave),
    "squat": Action(squat),
    "bow": Action(bow),
    "spin": Action(spin),
    "walk_umbrella": Action(walk, "umbrella", stride=0.65),
    "jump_ball": Action(jump, "ball"),
    "wave_racket": Action(wave, "racket"),
}
"""The actions by name, in the order of their labels."""
