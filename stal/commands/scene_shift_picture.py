"""The picture of the documents that shows every kind of scene-shifted set, on one generated video."""

import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import UInt8

from stal.data.scene_shift.kinds import Kind
from stal.data.scene_shift.make import make_scene_shift
from stal.data.scenes.generate import generate
from stal.data.video.reader import read_frames
from stal.structures import Annotations, Video
from stal.visualize.drawing import colour, draw_boxes
from stal.visualize.files import write_small_png
from stal.visualize.text import text_line

_NUM_VIDEOS = 24  # so that most scenes are there, and donors
_NUM_FRAMES = 4
_GAP_PIXELS = 4
_SEED = 0
_WHITE = 255


def draw_scene_shift_picture(docs: Path) -> Path:
    """Draw one generated video as it is and as each kind of scene-shifted set shows it, and return the file.

    Args:
        docs: folder of the picture.
    """
    with tempfile.TemporaryDirectory() as folder:
        annotations = generate(Path(folder, "scenes"), num_videos=_NUM_VIDEOS, seed=_SEED, splits=("train",))
        shown = next(video for video in annotations.videos if len(video.tubes) == 2)
        rows = [_row(shown, "as it is")]
        for kind in get_args(Kind):
            shifted = make_scene_shift(annotations, Path(folder, kind), kind, mask="silhouette", seed=_SEED)
            rows.append(_row(_of_key(shifted.annotations, shown.key), kind))
    columns = np.pad(np.concatenate(rows, axis=1), ((0, 0), (0, 0), (0, _GAP_PIXELS), (0, 0)), constant_values=_WHITE)
    path = docs / "scene_shift.png"
    write_small_png(path, np.concatenate(list(columns), axis=1)[:, :-_GAP_PIXELS])
    return path


def _of_key(annotations: Annotations, key: str) -> Video:
    return next(video for video in annotations.videos if video.key == key)


def _row(video: Video, name: str) -> UInt8[np.ndarray, "T H W 3"]:
    """Return frames of a video with the boxes of its tubes, under the name of what it shows."""
    chosen = np.linspace(0, video.num_frames - 1, _NUM_FRAMES).round().astype(np.int64)
    frames = read_frames(video.path, chosen, num_frames=video.num_frames)
    for number, tube in enumerate(video.tubes):
        boxes = np.zeros((video.num_frames, 4), np.float32)
        boxes[tube.frames] = tube.boxes
        frames = draw_boxes(frames, boxes[chosen], colour(number))
    line = np.broadcast_to(text_line(name, video.width), (_NUM_FRAMES, *text_line(name, video.width).shape))
    return np.concatenate([line, frames], axis=1)
