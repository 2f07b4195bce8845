"""Half-open and inclusive boxes: whether x2 and y2 lie behind the last pixel, or are the last pixel."""

from dataclasses import replace

import numpy as np

from stal.errors import AnnotationError, ShapeError
from stal.structures import Annotations, Video


def to_half_open(annotations: Annotations) -> Annotations:
    """Return the annotations with 1 added to x2 and y2 of every box: inclusive pixels become half-open ones."""
    return _extend(annotations, 1)


def to_inclusive(annotations: Annotations) -> Annotations:
    """Return the annotations with 1 taken from x2 and y2 of every box: half-open pixels become inclusive ones.

    Raises:
        AnnotationError: a box is at most one pixel wide or high, and would have no area without the + 1 of protocols
            for inclusive pixels.
    """
    return _extend(annotations, -1)


def _extend(annotations: Annotations, num_pixels: int) -> Annotations:
    """Return the annotations with `num_pixels` added to x2 and y2."""
    change = np.array([0, 0, num_pixels, num_pixels], np.float32)

    def extend(video: Video) -> Video:
        try:
            return replace(video, tubes=tuple(replace(tube, boxes=tube.boxes + change) for tube in video.tubes))
        except ShapeError as error:
            raise AnnotationError(
                f"video {video.key}: with {num_pixels} added to x2 and y2, {error}; "
                "give the ground truth and the detections in one convention"
            ) from error

    return replace(annotations, videos=tuple(extend(video) for video in annotations.videos))
