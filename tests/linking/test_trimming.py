from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.errors import ConfigError
from stal.linking.trimming import DualLabel, KeepWhole, MaxSubarray, mean_of_best

EIGHTHS = st.integers(0, 8).map(lambda n: n / 8)  # exact in binary, so that sums can be compared
SCORES = st.lists(EIGHTHS, min_size=1, max_size=8)


def labels_of(parts: list[slice], length: int) -> list[int]:
    labels = np.zeros(length, int)
    for part in parts:
        labels[part] = 1
    return labels.tolist()


def potts_sum(labels: tuple[int, ...] | list[int], scores: list[float], alpha: float) -> float:
    changes = sum(a != b for a, b in pairwise(labels))
    return sum(s if label else 1 - s for label, s in zip(labels, scores, strict=True)) - alpha * changes


@given(SCORES, st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]))
def test_dual_label_finds_the_best_of_all_labellings(scores: list[float], alpha: float) -> None:
    parts = DualLabel(alpha)(np.array(scores))
    best = max(potts_sum(labels, scores, alpha) for labels in product((0, 1), repeat=len(scores)))
    assert potts_sum(labels_of(parts, len(scores)), scores, alpha) == best
    assert all(a.stop < b.start for a, b in pairwise(parts))


@pytest.mark.parametrize(
    ("scores", "alpha", "expected"),
    [
        ([0.9] * 4, 3.0, [slice(0, 4)]),
        ([0.1] * 4, 3.0, []),
        ([0.5], 3.0, [slice(0, 1)]),
        ([0.9, 0.9, 0.1, 0.9, 0.9], 0.25, [slice(0, 2), slice(3, 5)]),
        ([0.9, 0.9, 0.1, 0.9, 0.9], 3.0, [slice(0, 5)]),
        ([0.0] * 4 + [1.0] * 4, 3.0, [slice(4, 8)]),
        ([0.0] * 2 + [1.0] * 4, 3.0, [slice(0, 6)]),
    ],
)
def test_dual_label_splits_where_that_is_worth_its_cost(
    scores: list[float], alpha: float, expected: list[slice]
) -> None:
    assert DualLabel(alpha)(np.array(scores)) == expected


@given(SCORES, EIGHTHS.filter(lambda value: value < 1))
def test_max_subarray_finds_the_best_of_all_runs(scores: list[float], threshold: float) -> None:
    (part,) = MaxSubarray(threshold)(np.array(scores))
    gains = np.array(scores) - threshold * np.mean(scores)
    runs = [gains[a:b].sum() for a in range(len(scores)) for b in range(a + 1, len(scores) + 1)]
    assert part.stop > part.start
    assert gains[part].sum() == pytest.approx(max(runs))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.3], slice(0, 1)),
        ([0.2] * 3 + [0.8] * 20 + [0.2] * 3, slice(3, 23)),
        ([0.8] * 15 + [0.2] * 3 + [0.8] * 15, slice(0, 33)),
        ([0.0] * 5, slice(0, 1)),
    ],
)
def test_max_subarray_cuts_low_ends_and_keeps_dips(scores: list[float], expected: slice) -> None:
    assert MaxSubarray(0.6)(np.array(scores)) == [expected]


@given(SCORES, st.sampled_from([0.25, 0.5, 2.0]))
def test_max_subarray_does_not_depend_on_the_scale_of_scores(scores: list[float], scale: float) -> None:
    assert MaxSubarray()(np.array(scores)) == MaxSubarray()(scale * np.array(scores))


@given(SCORES)
def test_keep_whole_keeps_every_frame(scores: list[float]) -> None:
    assert KeepWhole()(np.array(scores)) == [slice(0, len(scores))]


@pytest.mark.parametrize(("num_best", "expected"), [(1, 0.9), (2, 0.7), (9, 0.5)])
def test_mean_of_best(num_best: int, expected: float) -> None:
    assert mean_of_best(np.array([0.5, 0.9, 0.1]), num_best) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DualLabel(-1.0), "alpha -1.0"),
        (lambda: DualLabel(float("inf")), "alpha inf"),
        (lambda: MaxSubarray(1.5), "threshold 1.5"),
        (lambda: MaxSubarray(num_top_scores=0), "num_top_scores 0"),
    ],
)
def test_impossible_parameters_are_refused(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
