"""The ground truth of a detections file: its videos, their lengths and sizes, and the annotated tubes."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from stal.data.npz_arrays import NpzArrays
from stal.data.prediction_checks import Listing, positive_problems, refuse, refuse_normalised
from stal.data.tube_arrays import read_tube_arrays, tube_array_names
from stal.structures import Annotations, Video

REQUIRED_TRUTH_ARRAYS = {"labels", "videos", "nframes", *tube_array_names("gt")}
TRUTH_ARRAYS = REQUIRED_TRUTH_ARRAYS | {"hw", "gt_frame"}

_REMEDY = "Correct the ground truth; nothing of it is dropped"


class GroundTruth(NamedTuple):
    """The ground truth of an evaluation.

    Attributes:
        annotations: the videos with their tubes.
        half_open: whether x2 and y2 lie behind the last pixel; otherwise they are as their author stored them.
        sizes_known: whether the videos have their true sizes; otherwise they are as small as their boxes allow.
    """

    annotations: Annotations
    half_open: bool
    sizes_known: bool = True


def read_truth_arrays(arrays: NpzArrays, *, half_open: bool) -> GroundTruth:
    """Take the ground truth from a file; its videos have their key as path.

    Args:
        arrays: of the file, with `REQUIRED_TRUTH_ARRAYS`.
        half_open: whether the file has half-open boxes and 0-based frames.

    Raises:
        AnnotationError: an array is of the wrong shape or type, the arrays are at odds, or a box or frame is invalid.
    """
    keys, classes = arrays.names("videos"), arrays.names("labels")
    lengths = arrays.integers("nframes", (len(keys),))
    sizes_known = "hw" in arrays
    sizes = _read_sizes(arrays, len(keys)) if sizes_known else np.ones(2, np.int64)
    refuse([*positive_problems("nframes", lengths), *positive_problems("hw", sizes)], arrays.path, _REMEDY)
    videos = [
        Video(key, Path(key), num_frames, height, width)
        for key, num_frames, (height, width) in zip(
            keys, lengths.tolist(), np.broadcast_to(sizes, (len(keys), 2)).tolist(), strict=True
        )
    ]
    listing = Listing(keys, classes, Annotations(classes, tuple(videos)), 0 if half_open else 1)
    stored = read_tube_arrays("gt", arrays)
    refuse(stored.problems(listing), arrays.path, _REMEDY)
    refuse_normalised("gt_boxes", stored.boxes, videos, arrays.path, sizes_known=sizes_known)
    tubes = stored.to_tubes(np.ones(len(stored), dtype=bool), listing)
    annotated = (replace(video, tubes=tuple(tubes[video.key])) for video in videos)
    fitted = annotated if sizes_known else map(_fit_size, annotated)
    return GroundTruth(Annotations(classes, tuple(fitted)), half_open, sizes_known)


def _read_sizes(arrays: NpzArrays, num_videos: int) -> Int64[np.ndarray, "..."]:
    """Return height and width, of each video or of all."""
    return arrays.integers("hw", (2,) if arrays.num_axes("hw") == 1 else (num_videos, 2))


def _fit_size(video: Video) -> Video:
    """Return the video with the smallest size that holds its tubes."""
    corners = np.vstack([np.ones((1, 2), np.float32), *(tube.boxes[:, 2:] for tube in video.tubes)])
    width, height = np.ceil(corners.max(axis=0)).tolist()
    return replace(video, height=int(height), width=int(width))
