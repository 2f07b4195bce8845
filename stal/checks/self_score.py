"""Score the ground truth against itself: what does not get 100 can be reached by no detector."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from stal.checks.annotation_table import AnnotationTable
from stal.checks.finding import MAX_EXAMPLES, Example, Finding
from stal.checks.tubes import duplicated_tubes
from stal.metrics.protocol import VOC
from stal.metrics.summary import evaluate
from stal.structures import Annotations, Detections, Tube

Scores = Mapping[str, float | None]
"""Headline numbers in percent, by name; None where there is no ground truth."""

_FULL = 100 - 1e-6


def check_self_score(annotations: Annotations, table: AnnotationTable) -> tuple[Scores, list[Finding]]:
    """Score the annotated tubes as if they were detected, all with the same confidence.

    Args:
        annotations: the data set.
        table: the same.

    Returns:
        The scores, and what is wrong if one of them is below 100.
    """
    summary = _evaluate(annotations)
    scores = _headlines(summary)
    if _is_full(scores):
        return scores, []
    short = {label: values for label, values in summary["per_class"].items() if not _is_full(values)}
    text = f"{len(short)} of {len(annotations.classes)} classes: the ground truth does not get 100 against itself"
    examples = tuple(Example("", f"{label}: {_describe(short[label])}") for label in list(short)[:MAX_EXAMPLES])
    copies = np.unique(table.tube_videos[duplicated_tubes(table)[:, 0]])
    others = tuple(video for v, video in enumerate(annotations.videos) if v not in copies)
    if not len(copies) or not _is_full(_headlines(_evaluate(replace(annotations, videos=others)))):
        remedy = "two tubes must be alike to the evaluation: compare those of these classes; or report it as a bug"
        return scores, [Finding("error", "self-score", text, remedy, examples)]
    finding = Finding(
        "warning",
        "self-score",
        f"{text}, because tubes are there twice (tubes-duplicated, in {len(copies):,} of {len(annotations.videos):,} "
        "videos; the others get 100): a detection is compared with what it overlaps most, so a copy is never found",
        "remove the copies, or know that 100 cannot be reached: published numbers on this data set have the same limit",
        examples,
    )
    return scores, [finding]


def _evaluate(annotations: Annotations) -> dict[str, Any]:
    videos = [video for video in annotations.videos if video.tubes]
    detections = {video.key: _as_detections(video.tubes) for video in videos}
    tubes = {video.key: [replace(tube, score=1.0) for tube in video.tubes] for video in videos}
    return evaluate(annotations, detections, tubes, protocol=VOC)


def _as_detections(tubes: tuple[Tube, ...]) -> Detections:
    return Detections(
        frames=np.concatenate([tube.frames for tube in tubes]),
        boxes=np.concatenate([tube.boxes for tube in tubes]),
        labels=np.repeat([tube.label for tube in tubes], [len(tube) for tube in tubes]),
        scores=np.ones(sum(map(len, tubes))),
    )


def _headlines(summary: Mapping[str, Any]) -> Scores:
    return {name: value for name, value in summary.items() if "mAP" in name}


def _is_full(scores: Scores) -> bool:
    return all(value is None or value >= _FULL for value in scores.values())


def _describe(scores: Scores) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in scores.items() if value is not None and value < _FULL)
