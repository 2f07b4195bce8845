"""Drawing actors, and what they hold, with thick lines, discs and polygons."""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import UInt8

from stal.data.scenes.actions import Prop
from stal.data.scenes.actors import HEAD_RADIUS, Look, Skeleton
from stal.data.scenes.colours import Colour, shade

Joints = dict[str, np.ndarray]
"""The joints of a skeleton on one frame, by name."""

_FRACTION_BITS = 4  # cv2 draws at fixed-point coordinates
_FAR_SHADE = 0.72  # far limbs are darker, so that near ones stand out


class _Brush:
    """Draws on an RGBA canvas with premultiplied alpha, at positions in body heights from the actor's foot point."""

    def __init__(self, canvas: UInt8[np.ndarray, "H W 4"], foot: tuple[float, float], height: float) -> None:
        self.canvas = canvas
        self.foot = np.asarray(foot)
        self.height = height

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        pixels = self.foot + self.height * np.asarray(points)[..., :2] - 0.5  # cv2 counts from pixel centres
        return np.round(pixels * 2**_FRACTION_BITS).astype(np.int32)

    def _size(self, length: float) -> int:
        return max(1, round(self.height * length))

    def line(self, a: np.ndarray, b: np.ndarray, width: float, colour: Colour) -> None:
        start, stop = self._fixed(a).tolist(), self._fixed(b).tolist()
        cv2.line(self.canvas, start, stop, (*colour, 255), self._size(width), cv2.LINE_AA, _FRACTION_BITS)

    def disc(self, centre: np.ndarray, radius: float, colour: Colour) -> None:
        size = round(self.height * radius * 2**_FRACTION_BITS)
        cv2.circle(self.canvas, self._fixed(centre).tolist(), size, (*colour, 255), -1, cv2.LINE_AA, _FRACTION_BITS)

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        cv2.fillPoly(self.canvas, [self._fixed(points)], (*colour, 255), cv2.LINE_AA, _FRACTION_BITS)


def draw_actor(
    canvas: UInt8[np.ndarray, "H W 4"],
    skeleton: Skeleton,
    frame: int,
    look: Look,
    prop: Prop | None,
    foot: tuple[float, float],
    height: float,
) -> None:
    """Draw an actor, and what it holds, on a transparent canvas.

    Args:
        canvas: RGBA with premultiplied alpha, drawn on in place.
        skeleton: joints of all frames.
        frame: the frame to draw.
        look: colours and build.
        prop: the object in its hand.
        foot: (x, y) of the point on the ground between its feet, in pixels of the canvas.
        height: body height in pixels.
    """
    brush = _Brush(canvas, foot, height)
    joints = {name: points[frame] for name, points in vars(skeleton).items()}
    far, near = np.argsort(joints["shoulders"][:, 2]).tolist()  # the limbs of a side are far or near together
    _draw_leg(brush, joints, far, look, _FAR_SHADE)
    _draw_leg(brush, joints, near, look, 1.0)
    _draw_arm(brush, joints, far, look, _FAR_SHADE)
    _draw_torso(brush, joints, look)
    _draw_head(brush, joints, look)
    _draw_arm(brush, joints, near, look, 1.0)
    if prop is not None:
        _DRAW_PROP[prop](brush, joints, look.prop)


def _draw_leg(brush: _Brush, joints: Joints, side: int, look: Look, light: float) -> None:
    hip, knee, ankle, toe = (joints[name][side] for name in ("hips", "knees", "ankles", "toes"))
    trousers = shade(look.trousers, light)
    brush.line(hip, knee, 0.078 * look.build, trousers)
    brush.line(knee, ankle, 0.066 * look.build, trousers)
    brush.line(ankle, toe, 0.05, shade(look.shoes, light))


def _draw_arm(brush: _Brush, joints: Joints, side: int, look: Look, light: float) -> None:
    shoulder, elbow, hand = (joints[name][side] for name in ("shoulders", "elbows", "hands"))
    brush.line(shoulder, elbow, 0.06 * look.build, shade(look.shirt, light))
    brush.line(elbow, hand, 0.05 * look.build, shade(look.shirt if look.long_sleeves else look.skin, light))
    brush.disc(hand, 0.034, shade(look.skin, light))


def _draw_torso(brush: _Brush, joints: Joints, look: Look) -> None:
    left_shoulder, right_shoulder = joints["shoulders"]
    left_hip, right_hip = joints["hips"]
    brush.polygon(np.stack([left_shoulder, right_shoulder, right_hip, left_hip]), look.shirt)
    width = 0.075 * look.build
    for a, b in ((left_shoulder, left_hip), (right_shoulder, right_hip), (left_shoulder, right_shoulder)):
        brush.line(a, b, width, look.shirt)
    brush.line(joints["neck"], (left_hip + right_hip) / 2, 0.125 * look.build, look.shirt)  # all there is from the side


def _draw_head(brush: _Brush, joints: Joints, look: Look) -> None:
    head, face = joints["head"], joints["face"]
    brush.line(joints["neck"], head, 0.06, look.skin)
    brush.disc(head, HEAD_RADIUS, look.hair)
    if face[2] > head[2] - 0.2 * HEAD_RADIUS:  # seen from behind, there is only hair
        brush.disc(face[:2] + _down(0.2 * HEAD_RADIUS), 0.8 * HEAD_RADIUS, look.skin)


def _down(length: float) -> np.ndarray:
    return np.array([0.0, length])


def _draw_umbrella(brush: _Brush, joints: Joints, colour: Colour) -> None:
    hand = joints["hands"][1, :2]
    rim = hand - _down(0.42)
    angles = np.linspace(0, np.pi, 25)
    dome = np.stack([0.31 * np.cos(angles), -0.21 * np.sin(angles)], axis=-1)
    brush.line(hand + _down(0.05), rim, 0.028, shade(colour, 0.4))
    for breadth, light in ((1.0, 0.6), (0.65, 1.0), (0.25, 0.6)):  # gores of two shades
        brush.polygon(rim + dome * [breadth, 1], shade(colour, light))


def _draw_ball(brush: _Brush, joints: Joints, colour: Colour) -> None:
    centre = joints["hands"][:, :2].mean(axis=0)
    half_seam = np.array([0.09, 0.0])
    brush.disc(centre, 0.115, shade(colour, 0.55))
    brush.disc(centre, 0.095, colour)
    brush.line(centre - half_seam, centre + half_seam, 0.02, shade(colour, 0.55))


def _draw_racket(brush: _Brush, joints: Joints, colour: Colour) -> None:
    hand, elbow = joints["hands"][1, :2], joints["elbows"][1, :2]
    along = (hand - elbow) / max(float(np.linalg.norm(hand - elbow)), 1e-3)
    across = np.array([-along[1], along[0]])
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
    oval = np.cos(angles) * along * 0.15 + np.sin(angles) * across * 0.12
    centre = hand + 0.26 * along
    brush.line(hand - 0.03 * along, hand + 0.14 * along, 0.035, shade(colour, 0.45))
    brush.polygon(centre + oval, colour)
    brush.polygon(centre + 0.72 * oval, (235, 235, 225))


_DRAW_PROP: dict[Prop, Callable[[_Brush, Joints, Colour], None]] = {
    "umbrella": _draw_umbrella,
    "ball": _draw_ball,
    "racket": _draw_racket,
}
