"""Is one detector better than another? A paired bootstrap over the videos that both were tested on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from stal.errors import AnnotationError
from stal.metrics.bootstrap import NUM_DRAWS, SEED, percentile_interval
from stal.metrics.class_mean import class_means
from stal.metrics.headlines import headline_values, percent
from stal.metrics.overlaps import ONE_PIXEL
from stal.metrics.protocol import VOC, Protocol
from stal.metrics.resampling import draw_videos
from stal.metrics.tables import Tables
from stal.structures import Annotations

_ROUNDING_PIXELS = 0.01  # what is left when boxes of one convention are brought to another


@dataclass(frozen=True)
class Difference:
    """A headline number on both sides, in percent; None where it is not defined.

    Attributes:
        a: that of the first side.
        b: that of the second side.
        difference: b - a.
        interval: low and high end of the 95 % confidence interval of the difference.
        p: how often a difference of either sign as large as this would come by chance, in (0, 1].
    """

    a: float | None
    b: float | None
    difference: float | None
    interval: tuple[float, float] | None
    p: float | None


@dataclass(frozen=True)
class ClassDifference:
    """The AP of one class on both sides, in percent."""

    label: str
    a: float
    b: float
    difference: float


@dataclass(frozen=True)
class Comparison:
    """What one side gains on the other.

    Attributes:
        metrics: the difference in every headline number, by name.
        per_class: the same class by class, the largest gain of the second side first, the largest loss last; without
            the classes that have no AP.
        protocol: the rules, as `Protocol.describe` gives them.
        num_videos: number of videos.
        num_draws: number of test sets drawn from them.
        seed: of the draws.
    """

    metrics: dict[str, Difference]
    per_class: dict[str, list[ClassDifference]]
    protocol: dict[str, Any]
    num_videos: int
    num_draws: int
    seed: int


def compare(
    annotations: Annotations,
    a: Tables,
    b: Tables,
    protocol: Protocol = VOC,
    *,
    num_draws: int = NUM_DRAWS,
    seed: int = SEED,
) -> Comparison:
    """Compare two sides on the same draws of videos, so that what makes a test set hard for both cancels.

    The interval is that of the percentiles of the difference over the draws: their bias, which mAP itself has, all but
    cancels in it. Where b is not above a in D of the B draws, and not below it in U of them,
    p = min(1, 2 (1 + min(D, U)) / (1 + B)).

    Args:
        annotations: the ground truth of both, for the names of its classes and videos.
        a: ground truth and predictions of the first side.
        b: the same ground truth with the predictions of the second side.
        protocol: the rules.
        num_draws: number of test sets to draw; without any, or with fewer than two videos, there are no intervals.
        seed: of the draws.

    Raises:
        AnnotationError: The ground truth is not the same.
        ConfigError: There is one draw, or the seed is negative.
    """
    _check_same_truth(annotations, a, b)
    counts = draw_videos(len(a.num_frames), num_draws, seed)
    values_a, values_b = headline_values(a, protocol, counts), headline_values(b, protocol, counts)
    return Comparison(
        metrics={
            name: _difference(class_means(values), class_means(values_b[name])) for name, values in values_a.items()
        },
        per_class={
            name: _class_differences(annotations.classes, values[:, 0], values_b[name][:, 0])
            for name, values in values_a.items()
        },
        protocol=protocol.describe(),
        num_videos=len(a.num_frames),
        num_draws=counts.shape[1] - 1,
        seed=seed,
    )


def _difference(a: Float64[np.ndarray, " B"], b: Float64[np.ndarray, " B"]) -> Difference:
    """Return the difference of two numbers, which come first, from their draws, which follow.

    Draws in which one is not defined, as no class has ground truth, are left out.
    """
    difference, draws = b[0] - a[0], (b - a)[1:]
    draws = draws[~np.isnan(draws)]
    if np.isnan(difference) or len(draws) == 0:
        return Difference(percent(a[0]), percent(b[0]), percent(difference), None, None)
    low, high = percentile_interval(draws)
    rarer = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p = min(1.0, 2 * (1 + rarer) / (1 + len(draws)))
    return Difference(percent(a[0]), percent(b[0]), percent(difference), (100 * low + 0.0, 100 * high + 0.0), p)


def _class_differences(
    classes: tuple[str, ...], a: Float64[np.ndarray, " K"], b: Float64[np.ndarray, " K"]
) -> list[ClassDifference]:
    """Return the differences of the classes that have an AP on both sides, the largest gain of `b` first."""
    order = [int(k) for k in np.argsort(a - b, kind="stable") if not np.isnan(a[k] - b[k])]
    return [ClassDifference(classes[k], 100 * float(a[k]), 100 * float(b[k]), 100 * float(b[k] - a[k])) for k in order]


def _check_same_truth(annotations: Annotations, a: Tables, b: Tables) -> None:
    """Raise, naming the first difference, unless both sides have the same ground truth."""
    sizes = [(side.num_classes, len(side.num_frames)) for side in (a, b)]
    if sizes[0] != sizes[1] or sizes[0] != (len(annotations.classes), len(annotations.videos)):
        raise AnnotationError(
            f"(classes, videos) are {sizes[0]} and {sizes[1]} on the two sides and "
            f"{len(annotations.classes), len(annotations.videos)} in the annotations; both must be tested on the same"
        )
    for what, rows in _truth_differences(a, b):
        if len(rows):
            raise AnnotationError(
                f"the two sides have different ground truth: another {what} in {len(np.unique(rows))} videos, first "
                f"{annotations.videos[rows[0]].key}; score both against one ground truth"
            )


def _truth_differences(a: Tables, b: Tables) -> Iterator[tuple[str, Int64[np.ndarray, " _"]]]:
    """Give what may differ in the ground truth, with the rows of the videos in which it does.

    Each can only be compared where all before it are equal.
    """
    num_videos = len(a.num_frames)
    yield "length", np.flatnonzero(a.num_frames != b.num_frames)
    yield "frame size", np.flatnonzero(((a.sizes != b.sizes) & (a.sizes * b.sizes > 0)).any(axis=1))
    num_tubes = [np.bincount(side.truth.videos, minlength=num_videos) for side in (a, b)]
    yield "number of tubes", np.flatnonzero(num_tubes[0] != num_tubes[1])
    videos = a.truth.videos
    yield "class of a tube", videos[a.truth.labels != b.truth.labels]
    yield "number of boxes of a tube", videos[a.truth.lengths != b.truth.lengths]
    videos = videos[a.truth.tube_of_box]
    yield "frame of a box", videos[a.truth.frames != b.truth.frames]
    apart = np.abs(_half_open_truth(a) - _half_open_truth(b)).max(axis=1)
    yield "box", videos[apart > _ROUNDING_PIXELS]


def _half_open_truth(tables: Tables) -> Float64[np.ndarray, "R 4"]:
    """Return the boxes of the ground truth with x2 and y2 where they end."""
    return tables.truth.boxes + (np.zeros(4) if tables.half_open else ONE_PIXEL.astype(np.float64))
