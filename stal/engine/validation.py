"""Validation during a training: on which videos, and how often."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from mmengine.config import Config

from stal.engine.build import build
from stal.errors import ConfigError
from stal.structures import Annotations


@dataclass(frozen=True)
class Validation:
    """How a training is watched: every few epochs the model is tested on some videos. Nothing that is trained changes.

    Attributes:
        split: which videos; None for no validation. What was chosen by the test split cannot be reported on it: to
            choose an epoch or a setting, keep a split of its own.
        interval: epochs from one validation to the next; the last epoch always has one.
        num_videos: how many, spread evenly over the split, the same every time; None for all.
        num_pictures: how many of their clips are drawn, with detections and the gradient of the surest one.
    """

    split: str | None = None
    interval: int = 1
    num_videos: int | None = 48
    num_pictures: int = 4

    def __post_init__(self) -> None:
        if self.interval < 1 or self.num_pictures < 0 or (self.num_videos is not None and self.num_videos < 1):
            raise ConfigError(
                f"{self}: interval and num_videos must be at least 1 (num_videos None: all), num_pictures at least 0"
            )

    def choose(self, annotations: Annotations) -> Annotations | None:
        """Return the videos to validate on; None for no validation.

        Args:
            annotations: the videos of all splits.

        Raises:
            AnnotationError: there is no such split.
        """
        if self.split is None:
            return None
        videos = annotations.of_split(self.split).videos
        chosen = spread_evenly(len(videos), len(videos) if self.num_videos is None else self.num_videos)
        return Annotations(annotations.classes, tuple(videos[position] for position in chosen))


def build_validation(config: Config) -> Validation:
    """Return what `validation` of a config describes; a config without it has none."""
    validation = build(config.get("validation") or {"type": Validation}, "validation")
    if not isinstance(validation, Validation):
        raise ConfigError(f"validation = {config.validation!r} is not dict(type=Validation, ...)")
    return validation


def spread_evenly(count: int, num_chosen: int) -> Int64[np.ndarray, " n"]:
    """Return the middle one of each of `num_chosen` equal parts of the numbers below `count`; all if they are fewer."""
    num_parts = min(num_chosen, count)
    return (2 * np.arange(num_parts, dtype=np.int64) + 1) * count // max(2 * num_parts, 1)
