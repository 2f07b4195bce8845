"""Measure how often 95 % intervals of mAP hold what they are for, on test sets drawn from a generated population.

Each test set has so many videos of the population, and its interval comes from draws of its own videos alone. What it
is to hold is the mean mAP of such sets, which is known here. Baseline: the plain percentile interval.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import norm

from stal.metrics.bootstrap import estimate, percentile_interval
from stal.metrics.class_mean import class_means
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import VOC
from stal.metrics.resampling import resampled_average_precisions

NUM_CLASSES, NUM_VIDEOS, NUM_DRAWS = 24, 2000, 400


def main() -> None:
    """Parse the arguments, measure, and print a table for each size of test set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--videos", type=int, nargs="+", default=[100, 200, 910], help="of a set (default: 100 200 910)"
    )
    parser.add_argument("--sets", type=int, default=200, help="test sets (default: 200)")
    arguments = parser.parse_args()
    population = generate(seed=0)
    for num_videos in arguments.videos:
        measure(population, num_videos, arguments.sets)


def measure(population: OverlapTable, num_videos: int, num_sets: int) -> None:
    """Print how often each interval of sets of `num_videos` holds their mean mAP, and how wide it is."""
    rng = np.random.default_rng(num_videos)
    sets = rng.multinomial(num_videos, np.full(NUM_VIDEOS, 1 / NUM_VIDEOS), size=2000).T.astype(np.float64)
    values = mean_average_precisions(population, sets)
    target = 100 * values.mean()
    held: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for number in track(range(num_sets), f"{num_videos} videos", transient=True, console=Console(stderr=True)):
        of_set = sets[:, number]
        draws = rng.multinomial(num_videos, of_set / num_videos, size=NUM_DRAWS).T.astype(np.float64)
        for name, (low, high) in intervals(values[number], mean_average_precisions(population, draws)).items():
            held.setdefault(name, []).append(low <= target <= high)
            widths.setdefault(name, []).append(high - low)
    table = Table("interval", title=f"{num_sets} test sets of {num_videos} videos, mean mAP {target:.1f}", min_width=70)
    for name in ("held %", "width", "ratio of widths"):
        table.add_column(name, justify="right")
    for name in held:
        ratio = np.mean(widths[name]) / np.mean(widths["percentile"])
        table.add_row(name, f"{100 * np.mean(held[name]):.1f}", f"{np.mean(widths[name]):.2f}", f"{ratio:.2f}")
    Console().print(table)


def intervals(value: float, draws: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return the intervals, in percent, of a value and its draws, by their names."""
    low, high = percentile_interval(draws)
    below = ((draws < value).sum() + 0.5 * (draws == value).sum() + 0.5) / (len(draws) + 1)
    levels = norm.cdf(2 * norm.ppf(below) + norm.ppf([0.025, 0.975]))
    centred = estimate(np.append(value, draws)).interval
    return {
        "percentile": (100 * low, 100 * high),
        "basic": (100 * (2 * value - high), 100 * (2 * value - low)),
        "bias-corrected (BC)": tuple(100 * np.quantile(draws, levels)),
        "stal: percentile, centred": centred or (100 * value, 100 * value),
    }


def mean_average_precisions(population: OverlapTable, counts: np.ndarray) -> np.ndarray:
    """Return the mAP of test sets in which each video of the population stands so often."""
    return class_means(resampled_average_precisions(population, VOC.video, 0.5, counts, NUM_CLASSES))


def generate(seed: int) -> OverlapTable:
    """Return actors in videos of differing difficulty, each found under several classes with its own confidence."""
    rng = np.random.default_rng(seed)
    num_actors = np.where(rng.random(NUM_VIDEOS) < 0.78, 1, rng.integers(2, 6, NUM_VIDEOS))
    video_labels = rng.integers(NUM_CLASSES, size=NUM_VIDEOS)
    ease = rng.normal(0, 1, NUM_VIDEOS) + rng.normal(0, 0.6, NUM_CLASSES)[video_labels]
    videos = np.repeat(np.arange(NUM_VIDEOS), num_actors)
    labels = video_labels[videos]

    logits = rng.normal(0, 1, (len(videos), NUM_CLASSES)) + rng.normal(0, 0.7, (NUM_VIDEOS, NUM_CLASSES))[videos]
    logits[np.arange(len(videos)), labels] += 1.3 + 0.8 * ease[videos]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    is_found = rng.random(len(videos)) < 1 / (1 + np.exp(-0.5 - 0.8 * ease[videos]))
    actor, label = np.nonzero(scores > 0.02)
    hit = is_found[actor] & (labels[actor] == label)
    return OverlapTable(
        rows=np.arange(len(actor)),
        videos=videos[actor],
        labels=label,
        scores=scores[actor, label],
        truth_rows=np.arange(len(videos)),
        truth_videos=videos,
        truth_labels=labels,
        pair_detection=np.flatnonzero(hit),
        pair_truth=actor[hit],
        pair_iou=np.ones(int(hit.sum())),
    )


if __name__ == "__main__":
    main()
