"""Headline numbers of many test sets at once, in which each video counts a whole number of times.

Matching never crosses videos, so that nothing is matched anew for a test set with other videos: only how often each
detection counts changes. Equal scores keep the order that they have in the test set itself, each followed by its
copies.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float64
from scipy.sparse import csr_array

from stal.errors import ConfigError
from stal.metrics.average_precision import RankedHits, average_precision, ranked_hits
from stal.metrics.matching import match
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules

_MAX_ELEMENTS = 2**17  # of a table of true positives x test sets, so that it stays in the processor's cache


def draw_videos(num_videos: int, num_draws: int, seed: int, *, split: int = 0) -> Float64[np.ndarray, "V _"]:
    """Return how often each video counts: once in the first column, the test set itself, then in each draw.

    A draw is a test set of as many videos, drawn with replacement. Of fewer than two videos there are no draws: they
    would all be the same.

    Args:
        num_videos: V, the size of the test set and of each draw.
        num_draws: number of draws; 0 for the test set alone.
        seed: of the draws.
        split: number of the test set, if there are several: each is drawn from by itself.

    Raises:
        ConfigError: There is one draw, or a negative number, or the seed is negative.
    """
    if num_draws < 0 or num_draws == 1:
        raise ConfigError(f"{num_draws} bootstrap draws give no interval; draw at least 2, usually 1000, or 0 for none")
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative; choose a whole number of at least 0")
    if num_videos < 2 or num_draws == 0:
        return np.ones((num_videos, 1))
    drawn = np.random.default_rng([seed, split]).multinomial(
        num_videos, np.full(num_videos, 1 / num_videos), size=num_draws
    )
    return np.vstack([np.ones((1, num_videos)), drawn]).T.copy()


def resampled_average_precisions(
    table: OverlapTable,
    rules: Rules,
    iou_threshold: float,
    counts: Float64[np.ndarray, "V B"],
    num_classes: int,
) -> Float64[np.ndarray, "K B"]:
    """Return the AP of every class in each of B test sets.

    It is what evaluating test sets in which each video stands so often would give, but for the order of copies among
    equal scores of one video (see above). It is NaN where a class has no
    ground truth in one and the protocol leaves it out.

    Args:
        table: overlaps of boxes or of tubes.
        rules: the matching rule and the area under the curve.
        iou_threshold: overlap that a hit needs, in (0, 1].
        counts: how often each video counts in each test set.
        num_classes: number of classes of the data set.

    Raises:
        ConfigError: The threshold is outside (0, 1].
    """
    ranked = ranked_hits(table, match(table, rules, iou_threshold), num_classes)
    per_class = [_of_class(table, label, of_class, rules, counts) for label, of_class in enumerate(ranked)]
    return np.array(per_class, np.float64).reshape(num_classes, counts.shape[1])


def _of_class(
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
    # The first one, the test set itself, by itself: NumPy's sums differ in the last bit with the number of columns.
    for start, end in pairwise([0, *range(1, num_sets, step), num_sets]):
        some = slice(start, end)
        per_set[some] = average_precision(
            counts[true_videos, some], false @ counts[:, some], num_truth[some] + rules.extra_truth, rules.area
        )
    return np.where(num_truth > 0, per_set, 0.0 if rules.absent_classes == "zero" else np.nan)
