"""The one video that a tool looks at: one of the config's data, or any other."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from mmengine.config import Config

from stal.data.video.reader import read_frames, video_facts
from stal.engine.faults.checkpoint import read_classes
from stal.engine.tested_sets import read_tested_sets
from stal.errors import ConfigError
from stal.structures import Annotations, Video

_CHUNK_BYTES = 2**27  # of frames that are read at once

DEFAULT_FPS = 25.0
"""Of videos that do not say it."""


def data_set_video(config: Config, index: int, split: str | None) -> tuple[Annotations, Video]:
    """Return the annotated set that a config is tested on, and one of its videos.

    Args:
        config: a whole config.
        index: number of the video in its set.
        split: the split, or another set as `read_tested_sets` takes it; None for the split that the config tests on.

    Raises:
        ConfigError: the set has no such video.
    """
    (tested,) = read_tested_sets(config, [split or config.test_dataloader.dataset.split])
    videos = tested.annotations.videos
    if not 0 <= index < len(videos):
        raise ConfigError(f"--index {index}: {tested.given} has {len(videos)} videos, numbered from 0")
    return tested.annotations, videos[index]


def own_video(path: str, checkpoint: str) -> tuple[Annotations, Video]:
    """Return a video without annotation, alone in a set with the classes that a checkpoint was trained on.

    Args:
        path: a video file, or a folder of frames.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.

    Raises:
        CheckpointError: the checkpoint does not name its classes.
        VideoReadError: the video cannot be decoded.
    """
    classes = read_classes(checkpoint)
    facts = video_facts(path)
    video = Video(Path(path).stem, facts.path, facts.num_frames, facts.height, facts.width, facts.fps)
    return Annotations(classes, (video,)), video


def iterate_frames(video: Video) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Yield the annotated frames of a video in order; a part of them is in memory."""
    length = max(1, _CHUNK_BYTES // (video.height * video.width * 3))
    for start in range(0, video.num_frames, length):
        indices = np.arange(start, min(start + length, video.num_frames))
        yield from read_frames(video.path, indices, num_frames=video.num_frames)
