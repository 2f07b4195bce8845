"""How much the score of an annotated tube falls if the same actors are seen on other scenes."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from stal.metrics.matching import NOTHING
from stal.report.scored_set import ScoredSet
from stal.structures import Video


def mean_drops(scored: ScoredSet, copies: Sequence[ScoredSet]) -> Float64[np.ndarray, " G"]:
    """Return how much lower the score of each annotated tube's own class is in copies of its video, in their mean.

    The score is that of the surest tube of the class that overlaps it enough, 0 where there is none.

    Args:
        scored: detections of the set itself.
        copies: detections of the same detector in sets that may hold copies of its videos.

    Returns:
        In the order of the set's annotated tubes; NaN where no set has a copy.
    """
    num_truth = len(scored.tables.truth)
    drops = np.full((len(copies), num_truth), np.nan)
    for number, copy in enumerate(copies):
        own, of_copy = _same_tubes(scored, copy)
        drops[number, own] = _own_scores(scored)[own] - _own_scores(copy)[of_copy]
    known = ~np.isnan(drops)
    return np.divide(
        np.nansum(drops, axis=0), known.sum(axis=0), out=np.full(num_truth, np.nan), where=known.any(axis=0)
    )


def _own_scores(scored: ScoredSet) -> Float64[np.ndarray, " G"]:
    return scored.truth_scores[np.arange(len(scored.tables.truth)), scored.tables.truth.labels]


def _same_tubes(a: ScoredSet, b: ScoredSet) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """Return the rows of the annotated tubes of `a` whose video `b` has a copy of, and those of the copies.

    A copy is told by its annotation: it has the very same tubes, and is the only one that has.
    """
    copies = _unique_videos(b.annotations.videos)
    copy_of = np.full(len(a.annotations.videos), NOTHING)
    for digest, row in _unique_videos(a.annotations.videos).items():
        copy_of[row] = copies.get(digest, NOTHING)
    truth_a, truth_b = a.tables.truth, b.tables.truth
    own = np.flatnonzero(copy_of[truth_a.videos] != NOTHING)
    place = own - np.searchsorted(truth_a.videos, truth_a.videos[own])  # among the tubes of its video
    return own, np.searchsorted(truth_b.videos, copy_of[truth_a.videos[own]]) + place


def _unique_videos(videos: Sequence[Video]) -> dict[str, int]:
    """Return the row of each video by a digest of its tubes, of those that have tubes and share them with no other."""
    digests = [_digest(video) for video in videos]
    counts = Counter(digests)
    return {digest: row for row, digest in enumerate(digests) if videos[row].tubes and counts[digest] == 1}


def _digest(video: Video) -> str:
    digest = hashlib.sha256(f"{video.num_frames} {[tube.label for tube in video.tubes]}".encode())
    for tube in video.tubes:
        digest.update(tube.frames.tobytes() + tube.boxes.tobytes())
    return digest.hexdigest()
