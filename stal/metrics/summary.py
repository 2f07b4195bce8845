"""All numbers of one evaluation, as they are written to metrics.json."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from stal.metrics.average_precision import MeanAveragePrecision, mean_average_precision
from stal.metrics.bootstrap import SEED, bootstrap
from stal.metrics.headlines import headline_values, percent
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import VOC, Protocol, Rules
from stal.metrics.tables import Tables, make_tables
from stal.structures import Annotations, Detections, Tube


def evaluate(
    annotations: Annotations,
    detections: Mapping[str, Detections],
    tubes: Mapping[str, Sequence[Tube]],
    *,
    protocol: Protocol = VOC,
    half_open: bool = True,
    num_draws: int = 0,
) -> dict[str, Any]:
    """Compute frame-mAP and video-mAP at the usual thresholds.

    Args:
        annotations: the ground truth: the videos that were tested.
        detections: scored boxes by video key; a video that is missing has none.
        tubes: detected tubes by video key; a video that is missing has none.
        protocol: the rules.
        half_open: as for `frame_map`.
        num_draws: bootstrap draws for confidence intervals, usually 1000; 0 for no intervals.

    Returns:
        What metrics.json holds, see `summarize`.

    Raises:
        StalError: A prediction is of an unknown video, class or frame, or a tube has no score.
    """
    classes = annotations.classes
    tables = make_tables(annotations.videos, len(classes), detections=detections, tubes=tubes, half_open=half_open)
    return summarize(tables, classes, protocol, num_draws=num_draws)


def summarize(
    tables: Tables, classes: Sequence[str], protocol: Protocol, *, num_draws: int = 0, seed: int = SEED
) -> dict[str, Any]:
    """Compute the headline numbers.

    Args:
        tables: ground truth and predictions.
        classes: names of the classes.
        protocol: the rules.
        num_draws: bootstrap draws for confidence intervals; 0 for no intervals.
        seed: of the draws.

    Returns:
        The mAPs in percent; `per_class`, the same for every class; None (null) where there is no ground truth, or no
        such metric in the protocol; `intervals`, the 95 % confidence intervals, if there are draws; the protocol; and
        how much was evaluated.
    """
    metrics = headline_metrics(tables, protocol)
    summary: dict[str, Any] = {name: percent(metric.mean) for name, metric in metrics.items()}
    summary["per_class"] = {
        label: {name: percent(metric.per_class[k]) for name, metric in metrics.items()}
        for k, label in enumerate(classes)
    }
    if num_draws:
        estimates = bootstrap(tables, protocol, num_draws=num_draws, seed=seed)
        summary["intervals"] = {name: dataclasses.asdict(estimate) for name, estimate in estimates.items()}
        summary["bootstrap"] = {"num_draws": num_draws, "seed": seed, "confidence": 0.95}
    return summary | {
        "protocol": protocol.describe(),
        "num_videos": len(tables.num_frames),
        "num_frames": int(tables.num_frames.sum()),
        "num_truth_boxes": len(tables.truth.frames),
        "num_truth_tubes": len(tables.truth),
        "num_detections": len(tables.boxes),
        "num_tubes": len(tables.tubes),
    }


def headline_metrics(tables: Tables, protocol: Protocol) -> dict[str, MeanAveragePrecision]:
    """Return the metrics that every evaluation reports, by name; all NaN where the protocol has none."""

    def average_precisions(table: OverlapTable, rules: Rules, iou_threshold: float) -> Float64[np.ndarray, " K"]:
        return mean_average_precision(table, tables.num_classes, rules, iou_threshold).per_class

    per_class = headline_values(tables, protocol, average_precisions)
    return {name: MeanAveragePrecision(values) for name, values in per_class.items()}


def mean_over_splits(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of the headline numbers over the splits of a data set, as JHMDB-21 is reported.

    Args:
        summaries: what `summarize` returned for each split.

    Returns:
        The means of the headline numbers, of all classes and of each; None where a split has None. The sum of what was
        evaluated; the protocol; and `splits`, the summaries themselves. Intervals are those of the splits.
    """
    first = summaries[0]
    names = list(next(iter(first["per_class"].values()), {}))
    counts = [name for name in first if name.startswith("num_")]
    return {
        **{name: _mean([summary[name] for summary in summaries]) for name in names},
        "per_class": {
            label: {name: _mean([summary["per_class"][label][name] for summary in summaries]) for name in names}
            for label in first["per_class"]
        },
        "protocol": first["protocol"],
        **{name: sum(summary[name] for summary in summaries) for name in counts},
        "splits": list(summaries),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if len(present) == len(values) else None
