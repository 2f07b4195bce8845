"""Scores of attributions, one row an actor, as means with intervals."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from stal.metrics.bootstrap import NUM_DRAWS, percentile_interval
from stal.metrics.resampling import draw_videos


class MeanScore(NamedTuple):
    """A mean over actors.

    Attributes:
        value: of the actors as they are.
        interval: low and high end of the 95 % interval of a bootstrap over videos; None with fewer than two.
    """

    value: float
    interval: tuple[float, float] | None


def mean_scores(
    scores: Float64[np.ndarray, "A M"],
    videos: Int64[np.ndarray, " A"],
    labels: Int64[np.ndarray, " A"],
    *,
    seed: int = 0,
) -> tuple[list[MeanScore], dict[int, list[MeanScore]]]:
    """Return the mean of each score over all actors, and over those of each class.

    Actors of one video stand and fall together in the bootstrap. Ends of intervals are percentiles of the draws' means;
    a draw without an actor of a class says nothing of it.

    Args:
        scores: M scores of each of A actors, at least one.
        videos: the video of each actor, a number from 0.
        labels: the class of each actor.
        seed: of the draws.
    """
    counts = draw_videos(int(videos.max()) + 1, NUM_DRAWS, seed)
    of_classes = {label: _means(scores, videos, labels == label, counts) for label in np.unique(labels).tolist()}
    return _means(scores, videos, np.ones(len(scores), bool), counts), of_classes


def _means(
    scores: Float64[np.ndarray, "A M"],
    videos: Int64[np.ndarray, " A"],
    chosen: np.ndarray,
    counts: Float64[np.ndarray, "V B"],
) -> list[MeanScore]:
    weights = counts[videos[chosen]]
    total = weights.sum(0)
    means = (scores[chosen].T @ weights)[:, total > 0] / total[total > 0]
    has_interval = len(np.unique(videos[chosen])) > 1
    return [
        MeanScore(float(of_score[0]), percentile_interval(of_score[1:]) if has_interval else None) for of_score in means
    ]
