"""Find the pairs of rows that have to be compared, without a Python loop over rows."""

import numpy as np
from jaxtyping import Bool, Int, Int64


def equal_pairs(
    left: Int[np.ndarray, " L"], right: Int[np.ndarray, " R"], num_keys: int | None = None
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """Return all (i, j) with `left[i] == right[j]`, ordered by i, then by j: a join on equal keys.

    Args:
        left: keys.
        right: keys.
        num_keys: all keys are in 0 to `num_keys` - 1, and few enough to be counted, which is faster than searching.
    """
    order = np.argsort(right, kind="stable")
    if num_keys is None:
        ordered = right[order]
        first = np.searchsorted(ordered, left, side="left")
        counts = np.searchsorted(ordered, left, side="right") - first
    else:
        count_of_key = np.bincount(right, minlength=num_keys)
        first = (np.cumsum(count_of_key) - count_of_key)[left]
        counts = count_of_key[left]
    i = np.repeat(np.arange(len(left)), counts)
    nth_of_i = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    return i, order[first[i] + nth_of_i]


def survivors(better: Int64[np.ndarray, " P"], worse: Int64[np.ndarray, " P"], num_rows: int) -> Bool[np.ndarray, " N"]:
    """Run greedy suppression: a row survives if no better row that it is paired with does.

    Going through the rows, best first, would settle one after another; here each round settles all rows without an
    undecided better one, which gives the same survivors in a few rounds.

    Args:
        better: of each pair of rows that exclude each other, the one that comes first in a ranking of all rows.
        worse: of each pair, the other one.
        num_rows: number of rows.
    """
    survives = np.zeros(num_rows, bool)
    undecided = np.ones(num_rows, bool)
    while undecided.any():
        waiting = np.zeros(num_rows, bool)
        waiting[worse[undecided[better]]] = True
        settled = undecided & ~waiting
        survives |= settled
        undecided &= ~settled
        undecided[worse[settled[better]]] = False
    return survives
