"""All numbers of one evaluation, as they are written to metrics.json."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stal.metrics.average_precision import MeanAveragePrecision, mean_average_precision
from stal.metrics.overlaps import frame_overlaps, tube_overlaps
from stal.metrics.protocol import VOC, Protocol
from stal.metrics.tables import Tables, make_tables
from stal.structures import Annotations, Detections, Tube

VIDEO_THRESHOLDS = (0.2, 0.5, 0.75)
# Rounded, because 0.5 + 0.05 * i is one ulp too big at 0.85 and tube overlaps are often exact fractions.
AVERAGED_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


def evaluate(
    annotations: Annotations,
    detections: Mapping[str, Detections],
    tubes: Mapping[str, Sequence[Tube]],
    *,
    protocol: Protocol = VOC,
    half_open: bool = True,
) -> dict[str, Any]:
    """Compute frame-mAP and video-mAP at the usual thresholds.

    Args:
        annotations: the ground truth: the videos that were tested.
        detections: scored boxes by video key; a video that is missing has none.
        tubes: detected tubes by video key; a video that is missing has none.
        protocol: the rules.
        half_open: as for `frame_map`.

    Returns:
        What metrics.json holds: the mAPs in percent; `per_class`, the same for every class; None (null) where there is
        no ground truth, or no such metric in the protocol; the protocol; and how much was evaluated.

    Raises:
        StalError: A prediction is of an unknown video, class or frame, or a tube has no score.
    """
    videos = annotations.videos
    tables = make_tables(videos, len(annotations.classes), detections=detections, tubes=tubes, half_open=half_open)
    metrics = headline_metrics(tables, protocol)
    return {
        **{name: percent(metric.mean) for name, metric in metrics.items()},
        "per_class": {
            label: {name: percent(metric.per_class[k]) for name, metric in metrics.items()}
            for k, label in enumerate(annotations.classes)
        },
        "protocol": protocol.describe(),
        "num_videos": len(videos),
        "num_frames": int(tables.num_frames.sum()),
        "num_detections": len(tables.boxes),
        "num_tubes": len(tables.tubes),
    }


def headline_metrics(tables: Tables, protocol: Protocol) -> dict[str, MeanAveragePrecision]:
    """Return the metrics that every evaluation reports, by name; all NaN where the protocol has none."""
    num_classes = tables.num_classes
    boxes = frame_overlaps(tables, protocol.frame).within_classes
    metrics = {"frame_mAP@0.5": mean_average_precision(boxes, num_classes, protocol.frame, 0.5)}
    thresholds = sorted({*VIDEO_THRESHOLDS, *AVERAGED_THRESHOLDS})
    nothing = MeanAveragePrecision(np.full(num_classes, np.nan))
    at = dict.fromkeys(thresholds, nothing)
    if protocol.video is not None:
        overlaps = tube_overlaps(tables, protocol.video).within_classes
        at = {t: mean_average_precision(overlaps, num_classes, protocol.video, t) for t in thresholds}
    metrics |= {f"video_mAP@{t}": at[t] for t in VIDEO_THRESHOLDS}
    averaged = np.mean([at[t].per_class for t in AVERAGED_THRESHOLDS], axis=0)
    return metrics | {"video_mAP@0.5:0.95": MeanAveragePrecision(averaged)}


def percent(fraction: float) -> float | None:
    """Return a fraction in percent, and NaN as None, which JSON can hold."""
    return None if math.isnan(fraction) else 100 * float(fraction)
