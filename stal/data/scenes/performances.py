"""Performances: the actors of a video, their motions and timing, and the camera, without any scene."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from stal.data.scenes.actions import ACTIONS, Prop, stand
from stal.data.scenes.actors import Look, Skeleton, pose_skeleton

FPS = 12.5
NUM_FRAMES = (32, 48)
"""Shortest and longest video."""
NUM_ACTORS_PROBABILITY = (0.6, 0.3, 0.1)
"""Of one, two and three actors."""
MAX_ACTORS = len(NUM_ACTORS_PROBABILITY)
IDLE_PROBABILITY = 0.3
"""Of an actor that stands idle before or after it acts."""
MAX_PAN = 0.3
"""Farthest that the camera turns from the middle of the scene, in image widths."""

_PAN_PROBABILITY = 0.35
_RAMP_FRAMES = 3  # between standing and acting


@dataclass(frozen=True)
class Actor:
    """One actor of a performance.

    Attributes:
        label: its action.
        look: colours and build.
        skeleton: joints on every frame.
        prop: the object in its hand.
        height: body height in pixels.
        foot: (x, y) of the point on the ground between its feet on every frame, in pixels of the image.
        acting: the frames on which it does the action, rather than stand idle.
    """

    label: int
    look: Look
    skeleton: Skeleton
    prop: Prop | None
    height: float
    foot: Float[np.ndarray, "T 2"]
    acting: Bool[np.ndarray, " T"]


@dataclass(frozen=True)
class Performance:
    """What happens in a video, on whatever scene.

    Attributes:
        label: the action that the scene goes with: that of the first actor to be drawn, and mostly of all.
        actors: the actors, far ones first.
        pan: how far the camera has turned to the right on every frame, in pixels.
    """

    label: int
    actors: tuple[Actor, ...]
    pan: Float[np.ndarray, " T"]


def random_performance(rng: np.random.Generator, labels: Sequence[int], width: int, height: int) -> Performance:
    """Draw a performance of actions; everything but the motions and the objects is independent of the actions.

    Args:
        rng: the only source of chance.
        labels: indices into `ACTIONS`, `MAX_ACTORS` of them: the first actor to be drawn does the first action, and so
            on.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Returns:
        The performance, of a random length.
    """
    num_frames = int(rng.integers(NUM_FRAMES[0], NUM_FRAMES[1], endpoint=True))
    num_actors = 1 + int(rng.choice(len(NUM_ACTORS_PROBABILITY), p=NUM_ACTORS_PROBABILITY))
    pan = _random_pan(rng, num_frames, width)
    # Actors stand in shares of the width, so that overlaps are frequent but rarely complete.
    shares = (rng.permutation(num_actors) + rng.uniform(0.1, 0.9, num_actors)) / num_actors
    actors = [
        _random_actor(rng, label, 0.12 + 0.76 * share, pan, width, height)
        for label, share in zip(labels[:num_actors], shares, strict=True)
    ]
    return Performance(labels[0], tuple(sorted(actors, key=lambda actor: actor.foot[0, 1])), pan)


def _random_pan(rng: np.random.Generator, num_frames: int, width: int) -> Float[np.ndarray, " T"]:
    """Return a camera that is nearly still or turns steadily, so that actors enter or leave the image."""
    seconds = np.arange(num_frames) / FPS
    sway = rng.uniform(0, 0.012) * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * seconds + rng.uniform(0, 6))
    reach = rng.uniform(0.12, MAX_PAN - 0.02) * rng.choice([-1, 1]) if rng.uniform() < _PAN_PROBABILITY else 0.0
    return width * (sway + reach * np.linspace(-1, 1, num_frames))


def _random_actor(
    rng: np.random.Generator, label: int, middle: float, pan: Float[np.ndarray, " T"], width: int, height: int
) -> Actor:
    """Draw an actor that is `middle` image widths from the left half-way through the video."""
    action = list(ACTIONS.values())[label]
    num_frames = len(pan)
    look = Look.random(rng)
    size = rng.uniform(0.45, 0.75)
    facing = float(rng.uniform(0.05, 1) * rng.choice([-1, 1]))
    cycles_per_frame = rng.uniform(0.7, 1.4) / FPS
    first_phase = rng.uniform(0, 2 * np.pi)
    start, stop = _random_acting_time(rng, num_frames)

    frames = np.arange(num_frames)
    phase = first_phase + 2 * np.pi * cycles_per_frame * frames
    # 1 while acting, and less on the frames before and after, on which the actor gets from one to the other.
    activity = np.clip(1 + np.minimum(frames - start, stop - 1 - frames) / _RAMP_FRAMES, 0, 1)
    pose = stand(phase, facing).blend(action.motion(phase, facing), activity)
    way = np.cumsum(activity) * cycles_per_frame * action.stride * size * height * np.sign(facing)
    x = middle * width + way - way[num_frames // 2] - pan
    y = height * (0.8 + 0.5 * (size - 0.45) + rng.uniform(-0.01, 0.02))  # nearer is larger and lower
    foot = np.stack([x, np.full(num_frames, y)], axis=1)
    acting = (start <= frames) & (frames < stop)
    return Actor(label, look, pose_skeleton(pose), action.prop, size * height, foot, acting)


def _random_acting_time(rng: np.random.Generator, num_frames: int) -> tuple[int, int]:
    """Return the frames [start, stop) of the action: mostly all, else without up to 35 % at one end or both."""
    idle = rng.uniform(0.15, 0.35) * num_frames if rng.uniform() < IDLE_PROBABILITY else 0.0
    before = rng.choice([0.0, 1.0, rng.uniform()])
    return int(before * idle), num_frames - int((1 - before) * idle)
