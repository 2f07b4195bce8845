"""Small videos of several kinds, whose frames carry their numbers, and data sets of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from stal.structures import Annotations, Tube, Video

NUM_FRAMES, HEIGHT, WIDTH = 30, 48, 64
CLOSED = {"bf": "0", "g": "12", "keyint_min": "12", "crf": "12"}


def _picture(index: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A frame that shows its number: six columns, bright where the bit is set, above a bar that moves."""
    frame = np.full((height, width, 3), 60, np.uint8)
    for bit in range(6):
        frame[:24, 8 * bit : 8 * bit + 8] = 235 if index >> bit & 1 else 16
    frame[30:42, index : index + 12] = (180, 90, 60)
    return frame


def _numbers(frames: np.ndarray) -> list[int]:
    bits = frames[:, 6:18, 4 : 4 + 6 * 8 : 8].mean(axis=(1, 3)) > 125
    return (bits << np.arange(6)).sum(axis=1).tolist()


def _write_video(
    path: Path,
    codec: str = "libx264",
    options: dict[str, str] = CLOSED,
    *,
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (HEIGHT, WIDTH),
    num_frames: int = NUM_FRAMES,
    rotation: int = 0,
    times: list[int] | None = None,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt, stream.options = pixel_format, options
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(_picture(index, *size))
            frame.pts = index if times is None else times[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _write_folder(path: Path, num_frames: int = NUM_FRAMES) -> Path:
    path.mkdir(parents=True)
    for index in range(num_frames):
        cv2.imwrite(str(path / f"{index + 1:05d}.png"), _picture(index)[..., ::-1])
    return path


GAP = [*range(10), *range(13, 33)]  # times of 30 frames; three more are annotated

SOURCES: dict[str, tuple[Callable[..., Path], dict[str, Any], dict[str, Any]]] = {
    "closed.mp4": (_write_video, {}, {}),
    "b_frames.mp4": (_write_video, {"options": {"bf": "3", "crf": "12"}}, {}),
    "b_frames.avi": (_write_video, {"codec": "mpeg4", "options": {"bf": "2", "qscale": "2"}}, {}),
    "long_group.avi": (_write_video, {"codec": "mpeg4", "options": {"g": "300", "qscale": "2"}}, {}),
    "full_range.avi": (_write_video, {"codec": "mjpeg", "options": {"qscale": "2"}, "pixel_format": "yuvj420p"}, {}),
    "whole_colours.mkv": (_write_video, {"codec": "ffv1", "options": {}, "pixel_format": "yuv444p"}, {}),
    "odd.avi": (_write_video, {"codec": "mpeg4", "options": {"qscale": "2"}, "size": (49, 65)}, {"size": (49, 65)}),
    "turned.mp4": (_write_video, {"rotation": 90}, {"size": (WIDTH, HEIGHT)}),
    "gap.mp4": (_write_video, {"times": GAP}, {"num_frames": 33}),
    "short.avi": (_write_video, {"codec": "mpeg4", "options": {"qscale": "2"}}, {"num_frames": 32}),
    "one_frame.mp4": (_write_video, {"num_frames": 1}, {"num_frames": 1}),
    "folder": (_write_folder, {}, {}),
}


def _annotate(
    path: Path,
    key: str | None = None,
    *,
    num_frames: int = NUM_FRAMES,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    **more: Any,
) -> Video:
    tube = Tube(label=0, frames=np.arange(num_frames), boxes=np.tile(np.float32([1, 2, 30, 40]), (num_frames, 1)))
    height, width = size
    key = path.stem if key is None else key
    return Video(key, path, num_frames, height, width, tubes=(tube,), **{"split": "train"} | more)


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """Write a video of these frames."""
    return _write_video


@pytest.fixture(scope="session")
def annotate() -> Callable[..., Video]:
    """Return the annotation of a video of these frames."""
    return _annotate


@pytest.fixture(scope="session")
def numbers() -> Callable[[np.ndarray], list[int]]:
    """Read the numbers off frames."""
    return _numbers


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Video]:
    """An annotated video of every kind."""
    root = tmp_path_factory.mktemp("sources")
    return {
        name: _annotate(write(root / name, **arguments), **annotation)
        for name, (write, arguments, annotation) in SOURCES.items()
    }


@pytest.fixture
def data_set(tmp_path: Path) -> Annotations:
    """Three videos in a folder of their own."""
    keys = ("Walk/a (1)!", "Walk/b@+", "Run/c")
    videos = [
        _annotate(_write_video(tmp_path / f"videos/{key}.mp4", num_frames=10), key, num_frames=10) for key in keys
    ]
    return Annotations(("act",), tuple(videos))
