"""The numbers that every evaluation reports."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from stal.metrics.overlaps import frame_overlaps, tube_overlaps
from stal.metrics.protocol import Protocol
from stal.metrics.resampling import resampled_average_precisions
from stal.metrics.tables import Tables

FRAME_THRESHOLDS = (0.5,)
VIDEO_THRESHOLDS = (0.2, 0.5, 0.75)
# Rounded, because 0.5 + 0.05 * i is one ulp too big at 0.85 and tube overlaps are often exact fractions.
AVERAGED_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


def headline_values(
    tables: Tables,
    protocol: Protocol,
    counts: Float64[np.ndarray, "V B"],
    *,
    frame_thresholds: Sequence[float] = FRAME_THRESHOLDS,
    video_thresholds: Sequence[float] = VIDEO_THRESHOLDS,
) -> dict[str, Float64[np.ndarray, "K B"]]:
    """Return frame-mAP and video-mAP, class by class, for each of B test sets.

    Args:
        tables: ground truth and predictions.
        protocol: the rules.
        counts: how often each video counts in each test set, as `draw_videos` gives it.
        frame_thresholds: IoU thresholds of frame-mAP, in (0, 1].
        video_thresholds: those of video-mAP, beside its mean over 0.5:0.95.

    Returns:
        By the name of the number, fractions in [0, 1]; NaN where a class is left out, and where there are no tubes or
        the protocol has no such metric.

    Raises:
        ConfigError: A threshold is outside (0, 1].
    """
    num_classes = tables.num_classes
    boxes = frame_overlaps(tables, protocol.frame, within_classes=True)
    values = {
        f"frame_mAP@{t}": resampled_average_precisions(boxes, protocol.frame, t, counts, num_classes)
        for t in frame_thresholds
    }
    thresholds = sorted({*video_thresholds, *AVERAGED_THRESHOLDS})
    at = dict.fromkeys(thresholds, np.full((num_classes, counts.shape[1]), np.nan))
    if protocol.video is not None and tables.has_tubes:
        tubes = tube_overlaps(tables, protocol.video, within_classes=True)
        at = {t: resampled_average_precisions(tubes, protocol.video, t, counts, num_classes) for t in thresholds}
    values |= {f"video_mAP@{t}": at[t] for t in video_thresholds}
    return values | {"video_mAP@0.5:0.95": np.mean([at[t] for t in AVERAGED_THRESHOLDS], axis=0)}


def percent(fraction: float) -> float | None:
    """Return a fraction in percent, and NaN as None, which JSON can hold."""
    return None if math.isnan(fraction) else 100 * float(fraction)
