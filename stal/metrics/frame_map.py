"""frame-mAP: how well single boxes are found, frame by frame."""

from collections.abc import Mapping, Sequence

import numpy as np

from stal.metrics.average_precision import MeanAveragePrecision, OverlapTable, mean_average_precision
from stal.metrics.inputs import check_range, check_videos
from stal.ops.boxes import paired_iou
from stal.ops.pairs import equal_pairs
from stal.structures import Detections, Video


def frame_map(
    videos: Sequence[Video], detections: Mapping[str, Detections], num_classes: int, iou_threshold: float = 0.5
) -> MeanAveragePrecision:
    """Compute frame-mAP by the protocol `voc`, over all frames of all videos.

    Args:
        videos: the ground truth.
        detections: scored boxes by video key; a video that is missing has none.
        num_classes: number of classes of the data set.
        iou_threshold: overlap that a hit needs, in (0, 1].

    Returns:
        The AP of every class and their mean.

    Raises:
        StalError: A detection is of an unknown video, class or frame.
    """
    table = frame_overlaps(videos, detections, num_classes)
    return mean_average_precision(table, num_classes, iou_threshold)


def frame_overlaps(videos: Sequence[Video], detections: Mapping[str, Detections], num_classes: int) -> OverlapTable:
    """Return all boxes of all videos and the overlaps of those of the same class on the same frame."""
    check_videos(videos, detections, num_classes)
    found = [detections.get(video.key, Detections.empty()) for video in videos]
    for video, boxes in zip(videos, found, strict=True):
        check_range("detected class", int(boxes.labels.max(initial=-1)), num_classes, video.key)
        check_range("detection's frame", int(boxes.frames.max(initial=-1)), video.num_frames, video.key)
    truth = [_annotated_boxes(video) for video in videos]

    first_frames = np.cumsum([0, *(video.num_frames for video in videos)])[:-1]
    found_places = np.repeat(first_frames, [len(boxes) for boxes in found])
    truth_places = np.repeat(first_frames, [len(boxes) for boxes in truth])
    found_all, truth_all = Detections.concatenate(found), Detections.concatenate(truth)
    i, j = equal_pairs(
        (found_places + found_all.frames) * num_classes + found_all.labels,
        (truth_places + truth_all.frames) * num_classes + truth_all.labels,
    )
    return OverlapTable(
        scores=found_all.scores,
        labels=found_all.labels,
        truth_labels=truth_all.labels,
        pair_detection=i,
        pair_truth=j,
        pair_iou=paired_iou(found_all.boxes[i], truth_all.boxes[j]),
    )


def _annotated_boxes(video: Video) -> Detections:
    """Return the boxes of a video's tubes as certain detections."""
    return Detections.concatenate(
        [
            Detections(tube.frames, tube.boxes, np.full(len(tube), tube.label), np.ones(len(tube)))
            for tube in video.tubes
        ]
    )
