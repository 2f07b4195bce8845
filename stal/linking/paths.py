"""What linkers share: which rows of nearby frames may follow each other, and the greedy growth of paths.

A path is a list of rows (boxes, or tubelets) of one class on rising frames. Rows are sorted by class, then frame, then
best first, so that the number of a row says which of two comes first.
"""

import heapq
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from stal.ops.boxes import paired_iou
from stal.structures import Detections

PathRows = list[int]  # of the boxes or tubelets of one path


def pairs_at_distance(
    labels: Int64[np.ndarray, " N"], frames: Int64[np.ndarray, " N"], distance: int
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """Return all (earlier, later) rows of one class whose frames are `distance` apart."""
    keys = labels * (frames.max(initial=0) + distance + 1) + frames
    first = np.searchsorted(keys, keys + distance, side="left")
    counts = np.searchsorted(keys, keys + distance, side="right") - first
    earlier = np.repeat(np.arange(len(keys)), counts)
    nth = np.arange(len(earlier)) - np.repeat(np.cumsum(counts) - counts, counts)
    return earlier, first[earlier] + nth


def overlapping_boxes(
    boxes: Detections, max_gap: int, iou_threshold: float
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Return all (earlier, later) boxes of one class that overlap enough, with their IoU.

    Args:
        boxes: sorted by class and frame.
        max_gap: at most so many frames lie between the two.
        iou_threshold: overlap that they need.
    """
    parts = []
    for distance in range(1, max_gap + 2):  # one after another, as all pairs at once would take much memory
        earlier, later = pairs_at_distance(boxes.labels, boxes.frames, distance)
        iou = paired_iou(boxes.boxes[earlier], boxes.boxes[later])
        close = iou >= iou_threshold
        parts.append((earlier[close], later[close], iou[close]))
    earlier, later, iou = (np.concatenate(column) for column in zip(*parts, strict=True))
    return earlier, later, iou


def grow_paths(
    labels: Int64[np.ndarray, " N"],
    frames: Int64[np.ndarray, " N"],
    scores: Float64[np.ndarray, " N"],
    earlier: Int64[np.ndarray, " P"],
    later: Int64[np.ndarray, " P"],
    overlap: Float64[np.ndarray, " P"],
    *,
    num_rank_scores: int | None,
) -> list[PathRows]:
    """Grow paths frame by frame, greedily.

    On each frame the paths that a row of it may follow, highest rank first, take the surest row that is still free;
    rows that are left start paths. Of equally sure rows a path takes the one that overlaps it most; of paths of equal
    rank, the one whose first row comes first is served first.

    Args:
        labels: class of each row.
        frames: frame of each row.
        scores: score of each row.
        earlier: of each pair of rows that may follow each other, the earlier one.
        later: of each pair, the later one.
        overlap: of each pair, how much they overlap.
        num_rank_scores: the rank of a path is the mean of so many of its best scores; None takes all.

    Returns:
        The paths; every row is in one.
    """
    order = np.argsort(later, kind="stable")
    before = list(zip(earlier[order].tolist(), overlap[order].tolist(), strict=True))
    before_offset = np.searchsorted(later[order], np.arange(len(labels) + 1)).tolist()
    score_of = scores.tolist()
    is_first = (np.diff(labels, prepend=-1) != 0) | (np.diff(frames, prepend=-1) != 0)
    starts = np.flatnonzero(is_first).tolist()

    paths: list[PathRows] = []
    ranking: list[list[float]] = []  # of each path, the heap of the scores that rank it
    totals: list[float] = []  # and their sum
    path_ending_at: dict[int, int] = {}
    for start, end in pairwise([*starts, len(labels)]):
        wanted: dict[int, list[tuple[float, float, int]]] = {}  # by path, (-score, -overlap, row) of what it may take
        for row in range(start, end):
            for last, overlap_with_last in before[before_offset[row] : before_offset[row + 1]]:
                if last in path_ending_at:
                    choice = (-score_of[row], -overlap_with_last, row)
                    wanted.setdefault(path_ending_at[last], []).append(choice)
        taken = set()
        for path in sorted(wanted, key=lambda path: (-totals[path] / len(ranking[path]), path)):
            row = next((row for *_, row in sorted(wanted[path]) if row not in taken), -1)
            if row < 0:
                continue
            taken.add(row)
            del path_ending_at[paths[path][-1]]
            path_ending_at[row] = path
            paths[path].append(row)
            totals[path] += score_of[row]
            if len(ranking[path]) == num_rank_scores:
                totals[path] -= heapq.heappushpop(ranking[path], score_of[row])
            else:
                heapq.heappush(ranking[path], score_of[row])
        for row in range(start, end):
            if row not in taken:
                path_ending_at[row] = len(paths)
                paths.append([row])
                ranking.append([score_of[row]])
                totals.append(score_of[row])
    return paths
