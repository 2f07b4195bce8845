import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from stal.attribution.scores import gradient_tube, points_at_actor, rank_correlation

SIZE = (3, 4, 5, 6)


def test_shares_and_saliency_are_those_computed_by_hand():
    gradient = torch.zeros(2, 1, 2, 2)
    gradient[:, 0, 0, 0] = torch.tensor([3.0, -4.0])  # energy 25, saliency 7
    gradient[0, 0, 1, 1] = 5.0  # energy 25
    gradient[1, 0, 0, 1] = -1.0  # energy 1
    inside = torch.zeros(1, 2, 2, dtype=torch.bool)
    inside[0, 0] = True
    tube = gradient_tube(gradient, inside)
    assert tube.inside_share == pytest.approx(26 / 51)
    assert tube.volume_share == 0.5
    torch.testing.assert_close(tube.saliency, torch.tensor([[[1.0, 1 / 7], [0.0, 5 / 7]]]))


@pytest.mark.parametrize(("value", "share"), [(True, 1.0), (False, 0.0)])
def test_an_actor_that_is_everything_or_nothing(value, share):
    gradient = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
    tube = gradient_tube(gradient, torch.full(SIZE[1:], value))
    assert tube.inside_share == pytest.approx(share)
    assert tube.volume_share == share
    assert tube.saliency.max() == 1


def test_an_even_gradient_has_its_baseline_share():
    inside = torch.zeros(SIZE[1:], dtype=torch.bool)
    inside[:2, 1:3] = True
    tube = gradient_tube(torch.full(SIZE, -0.3), inside)
    assert tube.inside_share == pytest.approx(tube.volume_share)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-12, 1e12])
def test_the_size_of_a_gradient_does_not_matter(scale):
    gradient = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
    inside = torch.zeros(SIZE[1:], dtype=torch.bool)
    inside[0] = True
    tube, scaled = gradient_tube(gradient, inside), gradient_tube(scale * gradient, inside)
    if scale == 0:
        assert scaled.inside_share == 0 and not scaled.saliency.any()
    else:
        assert scaled.inside_share == pytest.approx(tube.inside_share, rel=1e-4)
        torch.testing.assert_close(scaled.saliency, tube.saliency)


@pytest.mark.parametrize(
    ("peak", "tolerance", "hit"),
    [
        ((1, 2, 2), 0, True),
        ((0, 2, 2), 0, False),  # the right place on the wrong frame
        ((0, 2, 2), 9, False),  # which no tolerance forgives
        ((1, 3, 2), 0, False),  # touching
        ((1, 3, 2), 1, True),
        ((1, 3, 3), 1, True),
        ((1, 4, 2), 1, False),
        (None, 9, False),  # nothing is salient
    ],
)
def test_the_peak_points_at_the_actor_in_space_and_time(peak, tolerance, hit):
    saliency, mask = torch.zeros(SIZE[1:]), torch.zeros(SIZE[1:], dtype=torch.bool)
    mask[1, 1:3, 1:3] = True
    if peak is not None:
        saliency[peak] = 1.0
        saliency[2, 0, 0] = 0.5
    assert points_at_actor(saliency, mask, tolerance_pixels=tolerance) is hit


@settings(deadline=None)  # a busy machine is no error
@given(st.lists(st.integers(0, 4), min_size=8, max_size=8), st.integers(0, 2**16))
def test_rank_correlation_is_spearmans(values, seed):
    first = torch.tensor(values, dtype=torch.float32).view(2, 2, 2)
    second = torch.rand(2, 2, 2, generator=torch.Generator().manual_seed(seed))
    found = rank_correlation(first, second)
    if len(set(values)) == 1:
        assert found == 0
    else:
        assert found == pytest.approx(spearmanr(np.ravel(first), np.ravel(second)).statistic, abs=1e-9)
        assert rank_correlation(first, (5 * first).exp()) == pytest.approx(1)
        assert rank_correlation(first, -first) == pytest.approx(-1)
