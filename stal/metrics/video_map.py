"""video-mAP: how well whole tubes are found, in space and time."""

from collections.abc import Mapping, Sequence

import numpy as np

from stal.errors import ShapeError
from stal.metrics.average_precision import MeanAveragePrecision, OverlapTable, mean_average_precision
from stal.metrics.inputs import check_range, check_videos
from stal.ops.tubes import tube_iou_pairs
from stal.structures import Tube, Video


def video_map(
    videos: Sequence[Video], tubes: Mapping[str, Sequence[Tube]], num_classes: int, iou_threshold: float = 0.5
) -> MeanAveragePrecision:
    """Compute video-mAP by the protocol `voc`.

    Args:
        videos: the ground truth.
        tubes: detected tubes, each with its score, by video key; a video that is missing has none.
        num_classes: number of classes of the data set.
        iou_threshold: spatio-temporal overlap (`stal.ops.tubes.tube_iou`) that a hit needs, in (0, 1].

    Returns:
        The AP of every class and their mean.

    Raises:
        StalError: A tube is of an unknown video, class or frame, or has no score.
    """
    table = tube_overlaps(videos, tubes, num_classes)
    return mean_average_precision(table, num_classes, iou_threshold)


def tube_overlaps(videos: Sequence[Video], tubes: Mapping[str, Sequence[Tube]], num_classes: int) -> OverlapTable:
    """Return all tubes of all videos and the overlaps of those of the same class in the same video."""
    check_videos(videos, tubes, num_classes)
    found = [(place, tube) for place, video in enumerate(videos) for tube in tubes.get(video.key, ())]
    truth = [(place, tube) for place, video in enumerate(videos) for tube in video.tubes]
    for place, tube in found:
        check_range("detected tube's class", tube.label, num_classes, videos[place].key)
        check_range("detected tube's frame", int(tube.frames[-1]), videos[place].num_frames, videos[place].key)

    found_labels = np.array([tube.label for _, tube in found], np.int64)
    truth_labels = np.array([tube.label for _, tube in truth], np.int64)
    i, j, iou = tube_iou_pairs(
        [tube for _, tube in found],
        np.array([place for place, _ in found], np.int64) * num_classes + found_labels,
        [tube for _, tube in truth],
        np.array([place for place, _ in truth], np.int64) * num_classes + truth_labels,
    )
    return OverlapTable(
        scores=np.array([_score(tube, videos[place].key) for place, tube in found], np.float64),
        labels=found_labels,
        truth_labels=truth_labels,
        pair_detection=i,
        pair_truth=j,
        pair_iou=iou,
    )


def _score(tube: Tube, video_key: str) -> float:
    """Return the score of a detected tube; raise if it has none that can be ranked."""
    if tube.score is None or not np.isfinite(tube.score):
        raise ShapeError(f"video {video_key}: tube {tube.id} has score {tube.score}; detected tubes need a finite one")
    return tube.score
