"""Drawn actors stand for all of them: enumerated over all draws, the weighted sum is that of all."""

from collections import Counter

import pytest
import torch

from stal.losses.actor_subsets import draw_actors


def draw(clip_index, subset, seed=0):
    index = torch.tensor(clip_index, dtype=torch.int64)
    return draw_actors(index, subset, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("clip_index", "subset", "num_draws"),
    [
        ((0,), "one_actor", 1),
        ((0, 1, 2), "one_actor", 1),
        ((0, 0, 1, 3, 3, 3), "one_actor", 2 * 1 * 3),
        ((3, 0, 3), "one_actor", 2),  # in any order
        ((0, 0, 1, 2), 0.34, 3),  # one clip of three
        ((0, 0, 1, 2), 0.5, 3),  # two of three
        ((5, 5), 0.1, 1),  # the only one
        ((0, 1, 1, 2, 4), 0.5, 6),  # two of four
    ],
)
def test_over_all_draws_the_weighted_sum_is_the_sum_over_all_actors(clip_index, subset, num_draws):
    values = torch.rand(len(clip_index), generator=torch.Generator().manual_seed(0)).double()
    num_tries = 300 * num_draws
    sums, times = {}, Counter()
    for seed in range(num_tries):
        rows, weights = draw(clip_index, subset, seed)
        key = tuple(rows.tolist())
        times[key] += 1
        sums[key] = (weights * values[rows]).sum().item()
    assert len(sums) == num_draws
    assert max(abs(count - 300) for count in times.values()) < 5 * 300**0.5  # all draws are equally likely
    assert sum(sums.values()) / num_draws == pytest.approx(values.sum().item(), rel=1e-6)


def test_one_actor_a_clip_is_drawn():
    rows, weights = draw((2, 0, 2, 2, 1), "one_actor")
    assert torch.tensor((2, 0, 2, 2, 1))[rows].sort().values.tolist() == [0, 1, 2]
    assert sorted(weights.tolist()) == [1, 1, 3]


def test_a_clip_is_drawn_with_all_its_actors():
    for seed in range(10):
        rows, weights = draw((0, 1, 1, 0), 0.5, seed)
        assert rows.tolist() in ([0, 3], [1, 2])
        assert weights.tolist() == [2, 2]


def test_all_actors_count_once():
    rows, weights = draw((0, 0, 4), "all")
    assert rows.tolist() == [0, 1, 2]
    assert weights.tolist() == [1, 1, 1]


@pytest.mark.parametrize("subset", ["all", "one_actor", 0.5])
def test_of_no_actors_none_is_drawn(subset):
    rows, weights = draw((), subset)
    assert rows.shape == weights.shape == (0,)
