"""How much the numbers owe to the choice of test videos: bootstrap over videos.

A draw is a test set of as many videos, drawn with replacement, in which a video that is drawn twice counts as two.
Nothing is matched anew for it: matching never crosses videos, so a draw changes how often each detection counts and
nothing else. Equal scores keep the order that they have in the test set itself, each followed by its copies.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.sparse import csr_array

from stal.errors import ConfigError
from stal.metrics.average_precision import RankedHits, average_precision, ranked_hits
from stal.metrics.headlines import headline_values, percent
from stal.metrics.matching import match
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import VOC, Protocol, Rules
from stal.metrics.tables import Tables

NUM_DRAWS = 1000
SEED = 0
_TAIL = 0.025  # on each side of a 95 % interval
_MAX_ELEMENTS = 2**17  # of a table of true positives x draws, so that it stays in the processor's cache


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence, in percent; None where it is not defined.

    Attributes:
        value: the number on the videos as they are.
        interval: low and high end of the 95 % confidence interval.
        std: standard deviation over the draws.
    """

    value: float | None
    interval: tuple[float, float] | None
    std: float | None


def bootstrap(
    tables: Tables, protocol: Protocol = VOC, *, num_draws: int = NUM_DRAWS, seed: int = SEED
) -> dict[str, Estimate]:
    """Return every headline number with its 95 % confidence interval.

    An interval is that of the percentiles, moved so that the mean of the draws falls on the value. mAP is higher on
    fewer videos, and draws have fewer distinct ones, so that they lie above the value, on UCF101-24 by 0.4 to 1.6
    points. The interval is for the mean mAP of test sets of this size, which the value estimates without bias; that of
    infinitely many videos is lower. On generated test sets of 100, 200 and 910 videos of 24 classes it held that mean
    in 89 to 93, 92 to 96 and 92 to 95 % of the cases; the basic interval in 74 to 85, 86 to 88 and 81 to 93 %, the
    bias-corrected one (BC) in 81 to 87, 87 to 91 and 82 to 94 %, and BCa was no better.

    Args:
        tables: ground truth and predictions.
        protocol: the rules.
        num_draws: number of test sets to draw.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        ConfigError: There are fewer than two draws, or the seed is negative.
    """
    counts = draw_videos(len(tables.num_frames), num_draws, seed)
    return {
        name: _estimate(mean_over_classes(values))
        for name, values in resampled_values(tables, protocol, counts).items()
    }


def draw_videos(num_videos: int, num_draws: int, seed: int) -> Float64[np.ndarray, "{num_videos} {num_draws}+1"]:
    """Return how often each video counts: once in the first column, the test set itself, then in each draw.

    Args:
        num_videos: V, the size of the test set and of each draw.
        num_draws: B.
        seed: of the draws.

    Raises:
        ConfigError: There are fewer than two draws, or the seed is negative.
    """
    if num_draws < 2:
        raise ConfigError(f"{num_draws} bootstrap draws give no interval; draw at least 2, usually {NUM_DRAWS}")
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative; choose a whole number of at least 0")
    if num_videos == 0:
        return np.zeros((0, num_draws + 1))
    drawn = np.random.default_rng(seed).multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=num_draws)
    return np.vstack([np.ones((1, num_videos)), drawn]).T.copy()


def resampled_values(
    tables: Tables, protocol: Protocol, counts: Float64[np.ndarray, "V B"]
) -> dict[str, Float64[np.ndarray, "K B"]]:
    """Return every headline number, in [0, 1], class by class, when each video counts a whole number of times.

    It is what evaluating test sets in which each video stands so often would give. It is NaN where a class has no
    ground truth in one and the protocol leaves it out, and where the protocol has no such metric.

    Args:
        tables: ground truth and predictions.
        protocol: the rules.
        counts: how often each video counts in each of B test sets.
    """

    def average_precisions(table: OverlapTable, rules: Rules, iou_threshold: float) -> Float64[np.ndarray, "K B"]:
        ranked = ranked_hits(table, match(table, rules, iou_threshold), tables.num_classes)
        return np.stack(
            [_resampled_class(table, label, of_class, rules, counts) for label, of_class in enumerate(ranked)]
        )

    return headline_values(tables, protocol, average_precisions)


def _resampled_class(
    table: OverlapTable, label: int, ranked: RankedHits, rules: Rules, counts: Float64[np.ndarray, "V B"]
) -> Float64[np.ndarray, " B"]:
    """Return the AP of one class in each of B test sets."""
    num_videos, num_sets = counts.shape
    num_truth = np.bincount(table.truth_videos[table.truth_labels == label], minlength=num_videos) @ counts
    videos = table.videos[ranked.rows]
    true_videos, false_videos = videos[ranked.hits], videos[~ranked.hits]
    # Row t: how many false positives of each video stand before true positive t, but after the one before it.
    gaps = np.cumsum(ranked.hits)[~ranked.hits]
    false = csr_array((np.ones(len(gaps)), (gaps, false_videos)), shape=(len(true_videos) + 1, num_videos))

    per_set = np.empty(num_sets)
    step = max(1, _MAX_ELEMENTS // (len(true_videos) + 1))
    for start in range(0, num_sets, step):
        some = slice(start, start + step)
        per_set[some] = average_precision(
            counts[true_videos, some], false @ counts[:, some], num_truth[some] + rules.extra_truth, rules.area
        )
    return np.where(num_truth > 0, per_set, 0.0 if rules.absent_classes == "zero" else np.nan)


def mean_over_classes(values: Float64[np.ndarray, "K B"]) -> Float64[np.ndarray, " B"]:
    """Return the mean over the classes that are not NaN, for each column; NaN if all are."""
    present = ~np.isnan(values)
    num_present = present.sum(axis=0)
    total = np.where(present, values, 0).sum(axis=0)
    return np.divide(total, num_present, out=np.full(len(total), np.nan), where=num_present > 0)


def percentile_interval(draws: Float64[np.ndarray, " B"]) -> tuple[float, float]:
    """Return the ends of the middle 95 % of the draws; those of the negated draws are the same, negated."""
    return float(np.quantile(draws, _TAIL)), -float(np.quantile(-draws, _TAIL))


def _estimate(means: Float64[np.ndarray, " B"]) -> Estimate:
    """Return a number, which comes first, with its interval from its draws, which follow.

    Draws in which it is not defined, as no class has ground truth, are left out.
    """
    value, draws = float(means[0]), means[1:]
    draws = draws[~np.isnan(draws)]
    if np.isnan(value) or len(draws) < 2:
        return Estimate(percent(value), None, None)
    bias = float((draws - value).mean())
    low, high = percentile_interval(draws)
    interval = 100 * max(0.0, min(low - bias, value)), 100 * min(1.0, max(high - bias, value))
    return Estimate(percent(value), interval, 100 * float(draws.std(ddof=1)))
