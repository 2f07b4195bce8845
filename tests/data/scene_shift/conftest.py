"""A tiny data set: a red square walks over a plain scene, whose colour is that of its class."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stal.data.scene_shift.encode import write_video
from stal.structures import Annotations, Tube, Video

HEIGHT, WIDTH, NUM_FRAMES, SIDE = 48, 64, 8, 12
CLASSES = ("walk", "jump", "run")
SCENE_COLOURS = ((20, 60, 200), (30, 180, 60), (200, 200, 40))
ACTOR_COLOUR = (220, 30, 30)


def box_at(frame: int) -> list[int]:
    """Even numbers, so that colours at half the resolution do not mix at the edge."""
    return [4 + 6 * frame, 16, 4 + 6 * frame + SIDE, 16 + SIDE]


def write_source(folder: Path, label: int, number: int, *, height: int = HEIGHT, width: int = WIDTH) -> Video:
    key = f"{CLASSES[label]}/{number}"
    frames = np.full((NUM_FRAMES, height, width, 3), SCENE_COLOURS[label], np.uint8)
    silhouettes = np.zeros((NUM_FRAMES, height, width), np.uint8)
    boxes = np.array([box_at(frame) for frame in range(NUM_FRAMES)], np.float32)
    for frame, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        frames[frame, y1:y2, x1:x2] = ACTOR_COLOUR
        silhouettes[frame, y1:y2, x1:x2] = 1
    path = folder / "source" / f"{key}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, height, width, Fraction(25))
    masks_path = path.with_suffix(".npz")
    np.savez_compressed(masks_path, masks=silhouettes)
    tube = Tube(label, np.arange(NUM_FRAMES), boxes + 0.1 * np.array([1, 1, -1, -1], np.float32))
    return Video(key, path, NUM_FRAMES, height, width, 25.0, (tube,), "test", masks_path)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    folder = tmp_path_factory.mktemp("data_set")
    return Annotations(CLASSES, tuple(write_source(folder, label, number) for label in range(3) for number in range(2)))


@pytest.fixture
def new_video() -> Callable[..., Video]:
    return write_source


@pytest.fixture
def scene_colours() -> tuple[tuple[int, int, int], ...]:
    return SCENE_COLOURS


@pytest.fixture
def actor_colour() -> tuple[int, int, int]:
    return ACTOR_COLOUR
