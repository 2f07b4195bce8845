"""The numbers that every evaluation reports."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from stal.metrics.overlaps import OverlapTable, frame_overlaps, tube_overlaps
from stal.metrics.protocol import Protocol, Rules
from stal.metrics.tables import Tables

VIDEO_THRESHOLDS = (0.2, 0.5, 0.75)
# Rounded, because 0.5 + 0.05 * i is one ulp too big at 0.85 and tube overlaps are often exact fractions.
AVERAGED_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))

AveragePrecisions = Callable[[OverlapTable, Rules, float], Float64[np.ndarray, "K ..."]]


def headline_values(
    tables: Tables, protocol: Protocol, average_precisions: AveragePrecisions
) -> dict[str, Float64[np.ndarray, "K ..."]]:
    """Return frame-mAP and video-mAP at the usual thresholds, class by class; all NaN where the protocol has none.

    Args:
        tables: ground truth and predictions.
        protocol: the rules.
        average_precisions: gives the AP of every class, or several of it, at one IoU threshold. It is called once for
            each threshold.
    """
    boxes = frame_overlaps(tables, protocol.frame, within_classes=True)
    of_frames = average_precisions(boxes, protocol.frame, 0.5)
    thresholds = sorted({*VIDEO_THRESHOLDS, *AVERAGED_THRESHOLDS})
    at = dict.fromkeys(thresholds, np.full_like(of_frames, np.nan))
    if protocol.video is not None:
        tubes = tube_overlaps(tables, protocol.video, within_classes=True)
        at = {threshold: average_precisions(tubes, protocol.video, threshold) for threshold in thresholds}
    return {
        "frame_mAP@0.5": of_frames,
        **{f"video_mAP@{threshold}": at[threshold] for threshold in VIDEO_THRESHOLDS},
        "video_mAP@0.5:0.95": np.mean([at[threshold] for threshold in AVERAGED_THRESHOLDS], axis=0),
    }


def percent(fraction: float) -> float | None:
    """Return a fraction in percent, and NaN as None, which JSON can hold."""
    return None if math.isnan(fraction) else 100 * float(fraction)
