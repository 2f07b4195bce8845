"""A made-up gradient tube: a box that goes to the right, what speaks for it within, and against it in a corner."""

from collections.abc import Callable

import numpy as np
import pytest

from stal.attribution.video_tube import VideoTube
from stal.visualize.tube_view import TubeView

NUM_FRAMES, HEIGHT, WIDTH = 12, 48, 64
FIRST, LAST = 2, 9  # frames with a box


def made_tube(**changes) -> VideoTube:
    frame = np.arange(NUM_FRAMES)
    has_box = (frame >= FIRST) & (frame <= LAST)
    known = np.where(has_box, np.float32(1), np.float32(np.nan))
    left = 8.0 + 2 * frame
    boxes = np.stack([left, np.full(NUM_FRAMES, 10.0), left + 20, np.full(NUM_FRAMES, 40.0)], axis=1) * has_box[:, None]
    y, x = np.mgrid[: HEIGHT // 2, : WIDTH // 2] + 0.5  # the network's clips are half as large
    centre = (left + 10)[:, None, None] / 2
    volume = np.exp(-(((x - centre) / 4) ** 2) - ((y - 12.5) / 5) ** 2)
    volume = (volume - 0.8 * np.exp(-(((x - 28) / 3) ** 2) - ((y - 3) / 3) ** 2)) * has_box[:, None, None]
    arguments = {
        "video_key": "iid/00001",
        "label": 1,
        "method": "input_gradient",
        "pathway": "both",
        "volume": volume.astype(np.float32),
        "magnitude": np.abs(volume).astype(np.float32),
        "boxes": boxes.astype(np.float32),
        "scores": np.float32(0.75) * known,
        "inside_shares": np.float32(0.5) * known,
        "volume_shares": np.float32(0.25) * known,
    }
    return VideoTube(**arguments | changes)


@pytest.fixture
def make_view() -> Callable[..., TubeView]:
    """Return a function that makes a view of the tube, with some attributes of either changed."""

    def make(*, signed: bool = False, **changes) -> TubeView:
        return TubeView(made_tube(**changes), "wave", "surest of 3 detections", (HEIGHT, WIDTH), 12.0, signed)

    return make


@pytest.fixture
def frames() -> np.ndarray:
    """The video: grey, each frame brighter than the last, its left half darker."""
    shade = 60 + 8 * np.arange(NUM_FRAMES)[:, None, None, None] + 40 * (np.arange(WIDTH) >= WIDTH // 2)[:, None]
    return np.broadcast_to(shade, (NUM_FRAMES, HEIGHT, WIDTH, 3)).astype(np.uint8)
