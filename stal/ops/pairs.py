"""Find the pairs of rows that have to be compared, without a Python loop over rows."""

import numpy as np
from jaxtyping import Int, Int64


def equal_pairs(
    left: Int[np.ndarray, " L"], right: Int[np.ndarray, " R"]
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """Return all (i, j) with `left[i] == right[j]`, ordered by i, then by j: a join on equal keys."""
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    first = np.searchsorted(ordered, left, side="left")
    counts = np.searchsorted(ordered, left, side="right") - first
    i = np.repeat(np.arange(len(left)), counts)
    nth_of_i = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    return i, order[first[i] + nth_of_i]
