"""Logits of clips from those of their RoIs: closed forms, and what must not matter."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from stal.errors import ConfigError
from stal.models.clip_pool import ClipPool

KINDS = ["max", "log_sum_exp", "attention", "mean"]
GROUP = torch.tensor([1, 0, 1, 2, 1, 0])  # groups of 2, 3 and 1
NUM_FEATURES, NUM_CLASSES = 5, 3


def make_pool(kind: str, **changes) -> ClipPool:
    torch.manual_seed(0)
    return ClipPool(in_channels=NUM_FEATURES, num_classes=NUM_CLASSES, kind=kind, **changes).double()


@pytest.fixture
def rois() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(
        torch.randn(len(GROUP), size, dtype=torch.float64, generator=generator) * 2
        for size in (NUM_CLASSES, NUM_FEATURES)
    )


def by_hand(pool: ClipPool, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Return the pooled logits of one group."""
    if pool.kind == "max":
        return logits.amax(0)
    if pool.kind == "mean":
        return logits.mean(0)
    if pool.kind == "log_sum_exp":
        return (pool.sharpness * logits).exp().mean(0).log() / pool.sharpness
    content, gate = torch.tanh(pool.content(features)), torch.sigmoid(pool.gate(features))
    energies = (content * gate) @ pool.weigh.weight.T
    weights = energies.exp() / energies.exp().sum(0)
    return (weights * logits).sum(0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_is_pooled_by_the_closed_form(kind, rois):
    pool = make_pool(kind, sharpness=1.5)
    expected = torch.stack([by_hand(pool, *(values[group == GROUP] for values in rois)) for group in range(3)])
    torch.testing.assert_close(pool(*rois, GROUP), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_rois_does_not_matter(kind, rois):
    pool, order = make_pool(kind), torch.tensor([3, 5, 0, 4, 2, 1])
    torch.testing.assert_close(pool(rois[0][order], rois[1][order], GROUP[order]), pool(*rois, GROUP))


@pytest.mark.parametrize("kind", KINDS)
def test_a_roi_that_is_alone_keeps_its_logits(kind, rois):
    assert make_pool(kind)(*rois, GROUP)[2].tolist() == pytest.approx(rois[0][3].tolist())
    assert make_pool(kind)(*rois, torch.arange(6)).flatten().tolist() == pytest.approx(rois[0].flatten().tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_no_rois_are_no_clips(kind):
    logits = torch.zeros(0, NUM_CLASSES, dtype=torch.float64, requires_grad=True)
    pool = make_pool(kind)
    pooled = pool(logits, logits.new_zeros(0, NUM_FEATURES), torch.zeros(0, dtype=torch.int64))
    assert pooled.shape == (0, NUM_CLASSES)
    pooled.sum().backward()
    assert all(weight.grad is not None for weight in pool.parameters())  # or distributed training would wait


@pytest.mark.parametrize("kind", KINDS)
def test_clips_do_not_see_each_other(kind, rois):
    pool, alone = make_pool(kind), GROUP == 1
    torch.testing.assert_close(
        pool(rois[0][alone], rois[1][alone], torch.zeros(3, dtype=torch.int64))[0], pool(*rois, GROUP)[1]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_has_exact_first_and_second_derivatives(kind, rois):
    pool = make_pool(kind)
    inputs = tuple(values.clone().requires_grad_() for values in rois)
    checked = inputs if kind == "attention" else inputs[:1]

    def pooled(logits, features=rois[1]):
        return pool(logits, features, GROUP)

    assert gradcheck(pooled, checked)
    assert gradgradcheck(pooled, checked)


def test_log_sum_exp_goes_from_the_mean_to_the_maximum(rois):
    mean, most = (make_pool(kind)(*rois, GROUP) for kind in ("mean", "max"))
    torch.testing.assert_close(make_pool("log_sum_exp", sharpness=1e-6)(*rois, GROUP), mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(make_pool("log_sum_exp", sharpness=500.0)(*rois, GROUP), most, atol=1e-2, rtol=0)
    middle = make_pool("log_sum_exp")(*rois, GROUP)
    assert (mean <= middle + 1e-12).all() and (middle <= most + 1e-12).all()


def test_the_number_of_persons_alone_changes_nothing(rois):
    """As the sum in `log_sum_exp` would: twice the same persons are no surer."""
    for kind in KINDS:
        twice = make_pool(kind)(torch.cat([rois[0]] * 2), torch.cat([rois[1]] * 2), torch.cat([GROUP] * 2))
        torch.testing.assert_close(twice, make_pool(kind)(*rois, GROUP))


def test_classes_may_attend_to_different_persons(rois):
    pool = make_pool("attention")
    with torch.no_grad():
        pool.weigh.weight *= 200
    pooled = pool(*rois, torch.zeros(6, dtype=torch.int64))[0]
    chosen = (pooled - rois[0]).abs().argmin(0)
    assert len(set(chosen.tolist())) > 1
    torch.testing.assert_close(rois[0][chosen, torch.arange(3)], pooled, atol=0.2, rtol=0)


@pytest.mark.parametrize(
    "changes", [{"kind": "median"}, {"kind": "log_sum_exp", "sharpness": 0.0}, {"kind": "max", "hidden_channels": 0}]
)
def test_impossible_pools_are_refused(changes):
    with pytest.raises((ConfigError, TypeError)):
        make_pool(**changes)
