import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stal.ops.pairs import equal_pairs

keys = st.lists(st.integers(-3, 3), max_size=8).map(lambda values: np.array(values, np.int64))


@given(keys, keys)
def test_equal_pairs_are_those_of_two_loops(left: np.ndarray, right: np.ndarray) -> None:
    i, j = equal_pairs(left, right)
    expected = [(a, b) for a in range(len(left)) for b in range(len(right)) if left[a] == right[b]]
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == expected
