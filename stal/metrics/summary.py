"""All numbers of one evaluation, as they are written to metrics.json."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stal.metrics.average_precision import MeanAveragePrecision, mean_average_precision
from stal.metrics.frame_map import frame_map
from stal.metrics.protocol import VOC
from stal.metrics.video_map import tube_overlaps
from stal.structures import Annotations, Detections, Tube

VIDEO_THRESHOLDS = (0.2, 0.5, 0.75)
# Rounded, because 0.5 + 0.05 * i is one ulp too big at 0.85 and tube overlaps are often exact fractions.
AVERAGED_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


def evaluate(
    annotations: Annotations, detections: Mapping[str, Detections], tubes: Mapping[str, Sequence[Tube]]
) -> dict[str, Any]:
    """Compute frame-mAP and video-mAP at the usual thresholds, by the protocol `voc`.

    Args:
        annotations: the ground truth: the videos that were tested.
        detections: scored boxes by video key; a video that is missing has none.
        tubes: detected tubes by video key; a video that is missing has none.

    Returns:
        What metrics.json holds: the mAPs in percent; `per_class`, the same for every class; None (null) where there is
        no ground truth; the protocol; and how much was evaluated.

    Raises:
        StalError: A prediction is of an unknown video, class or frame, or a tube has no score.
    """
    videos, num_classes = annotations.videos, len(annotations.classes)
    overlaps = tube_overlaps(videos, tubes, num_classes)
    at = {
        threshold: mean_average_precision(overlaps, num_classes, threshold)
        for threshold in sorted({*VIDEO_THRESHOLDS, *AVERAGED_THRESHOLDS})
    }
    averaged = MeanAveragePrecision(np.mean([at[threshold].per_class for threshold in AVERAGED_THRESHOLDS], axis=0))
    metrics = {
        "frame_mAP@0.5": frame_map(videos, detections, num_classes, 0.5),
        **{f"video_mAP@{threshold}": at[threshold] for threshold in VIDEO_THRESHOLDS},
        "video_mAP@0.5:0.95": averaged,
    }
    return {
        **{name: _percent(metric.mean) for name, metric in metrics.items()},
        "per_class": {
            label: {name: _percent(metric.per_class[k]) for name, metric in metrics.items()}
            for k, label in enumerate(annotations.classes)
        },
        "protocol": dataclasses.asdict(VOC),
        "num_videos": len(videos),
        "num_frames": sum(video.num_frames for video in videos),
        "num_detections": sum(len(boxes) for boxes in detections.values()),
        "num_tubes": sum(len(of_video) for of_video in tubes.values()),
    }


def _percent(fraction: float) -> float | None:
    """Return a fraction in percent, and NaN as None, which JSON can hold."""
    return None if math.isnan(fraction) else 100 * float(fraction)
