"""Why a number is what it is: recall, errors, strata, confusion and calibration, of boxes or of tubes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from stal.metrics.average_precision import RankedHits, ranked_hits
from stal.metrics.calibration import Calibration, calibration
from stal.metrics.class_mean import class_mean
from stal.metrics.confusion import confusion_matrix
from stal.metrics.error_areas import error_areas
from stal.metrics.error_budget import ErrorBudget
from stal.metrics.headlines import percent
from stal.metrics.matching import match
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules
from stal.metrics.recall import average_best_overlap, recall
from stal.metrics.strata import Stratum, motion_strata, size_strata, stratified_average_precision
from stal.metrics.tables import Tables
from stal.metrics.tide import fix_gains


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What is behind the mAP of boxes, or of tubes, at one IoU threshold.

    Attributes:
        iou_threshold: overlap that a hit needs.
        ranked: the detections of each class, surest first.
        recall: (K,) see `recall`.
        best_overlap: (K,) see `average_best_overlap`; its mean over the classes is the MABO.
        error_areas: see `error_areas`.
        fix_gains: see `fix_gains`.
        strata: AP by `motion` and by `size` of the actors.
        confusion: (K, K + 1) see `confusion_matrix`.
        calibration: see `calibration`.
    """

    iou_threshold: float
    ranked: list[RankedHits]
    recall: Float64[np.ndarray, " K"]
    best_overlap: Float64[np.ndarray, " K"]
    error_areas: ErrorBudget
    fix_gains: ErrorBudget
    strata: Mapping[str, Sequence[Stratum]]
    confusion: Int64[np.ndarray, "K K+1"]
    calibration: Calibration


def diagnose(tables: Tables, table: OverlapTable, rules: Rules, iou_threshold: float = 0.5) -> Diagnosis:
    """Compute everything that is behind an mAP.

    Args:
        tables: what is evaluated.
        table: its boxes or tubes, with the pairs of all classes.
        rules: those that `table` was made by.
        iou_threshold: overlap that a hit needs, in (0, 1].

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    num_classes = tables.num_classes
    strata = {"motion": motion_strata(tables, table), "size": size_strata(tables, table)}
    return Diagnosis(
        iou_threshold=iou_threshold,
        ranked=ranked_hits(table.within_classes, match(table, rules, iou_threshold), num_classes),
        recall=recall(table, rules, iou_threshold, num_classes),
        best_overlap=average_best_overlap(table, num_classes),
        error_areas=error_areas(table, rules, iou_threshold, num_classes),
        fix_gains=fix_gains(table, rules, iou_threshold, num_classes),
        strata={
            name: stratified_average_precision(table, of_kind, rules, iou_threshold, num_classes)
            for name, of_kind in strata.items()
        },
        confusion=confusion_matrix(table, rules, iou_threshold, num_classes),
        calibration=calibration(table, rules, iou_threshold),
    )


def describe_diagnosis(diagnosis: Diagnosis, classes: Sequence[str]) -> dict[str, Any]:
    """Return a diagnosis as it is written to metrics.json: fractions in percent, None (null) where undefined.

    Args:
        diagnosis: what `diagnose` returned.
        classes: names of the classes.
    """
    bins = diagnosis.calibration
    return {
        "iou_threshold": diagnosis.iou_threshold,
        "mAP": percent(class_mean(diagnosis.error_areas.average_precision)),
        "recall": _describe(diagnosis.recall, classes),
        "best_overlap": _describe(diagnosis.best_overlap, classes),
        "error_areas": _describe_budget(diagnosis.error_areas, classes),
        "fix_gains": _describe_budget(diagnosis.fix_gains, classes),
        **{
            f"by_{name}": {
                stratum.name: {
                    "mAP": percent(stratum.average_precision.mean),
                    "num_truth": int(stratum.num_truth.sum()),
                    "per_class": _by_class(stratum.average_precision.per_class, classes),
                }
                for stratum in strata
            }
            for name, strata in diagnosis.strata.items()
        },
        "confusion": {
            label: {"taken_for": dict(zip(classes, row[:-1], strict=True)), "missed": row[-1]}
            for label, row in zip(classes, diagnosis.confusion.tolist(), strict=True)
            if any(row)
        },
        "calibration": {
            "expected_error": percent(bins.expected_error),
            "edges": bins.edges.tolist(),
            "counts": bins.counts.tolist(),
            "precision": [percent(value) for value in bins.precision],
            "mean_score": [percent(value) for value in bins.mean_score],
        },
    }


def _describe(per_class: Float64[np.ndarray, " K"], classes: Sequence[str]) -> dict[str, Any]:
    return {"mean": percent(class_mean(per_class)), "per_class": _by_class(per_class, classes)}


def _describe_budget(budget: ErrorBudget, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "mean": {name: percent(value) for name, value in budget.mean.items()},
        "per_class": {
            label: {name: percent(values[k]) for name, values in budget.errors.items()}
            for k, label in enumerate(classes)
            if not np.isnan(budget.average_precision[k])
        },
        "counts": {name: int(values.sum()) for name, values in budget.counts.items()},
        "counts_per_class": {
            label: {name: int(values[k]) for name, values in budget.counts.items()} for k, label in enumerate(classes)
        },
    }


def _by_class(per_class: Float64[np.ndarray, " K"], classes: Sequence[str]) -> dict[str, float | None]:
    return {label: percent(value) for label, value in zip(classes, per_class, strict=True)}
