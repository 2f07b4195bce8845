"""The estimate by differences has the exact value, converges on a smooth network, and says how far off it is."""

import pytest
import torch
from torch import nn

from stal.errors import PenaltyError
from stal.losses.gradient_difference import difference_energy
from stal.losses.gradient_energy import gradient_energy

INDEX = torch.tensor([0, 2, 0])
CLASSES = torch.arange(3)


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(3, 3, 2, 3, 4, generator=generator, dtype=torch.float64)
    return clips, torch.rand(3, 2, 3, 4, generator=generator) < 0.4


def estimate(network, inputs, blocks=(1, 1, 1), step=0.01, dtype=torch.float64):
    """Return the estimate of three actors, two of which are of one clip."""
    clips = inputs[0].to(dtype).detach().requires_grad_()

    def score(x):
        return network(x)[INDEX, CLASSES]

    return difference_energy(score, score(clips), clips, inputs[1], INDEX, blocks=blocks, step=step)


def exact(network, inputs, blocks=(1, 1, 1)):
    clips = inputs[0].detach().requires_grad_()
    return gradient_energy(network(clips)[INDEX, CLASSES], clips, inputs[1], INDEX, blocks=blocks)


def parameter_gradient(energy, network):
    weights = torch.arange(1.0, len(energy) + 1, dtype=torch.float64)  # a mix-up of actors shows
    gradients = torch.autograd.grad((weights * energy).sum(), list(network.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("blocks", [(1, 1, 1), (2, 1, 1), (2, 2, 3)])
def test_the_value_is_exact_at_any_step(scorer, inputs, blocks):
    found, expected = estimate(scorer, inputs, blocks, step=3.0), exact(scorer, inputs, blocks)
    torch.testing.assert_close(found.outside, expected.outside)
    torch.testing.assert_close(found.inside, expected.inside)
    assert not found.inside.requires_grad and not found.slope_error.requires_grad


@pytest.mark.parametrize("blocks", [(1, 1, 1), (2, 2, 3)])
@pytest.mark.parametrize("step", [1e-3, 1.0, 100.0])
def test_on_a_linear_network_the_estimate_is_exact_at_any_step(linear_scorer, inputs, blocks, step):
    found = estimate(linear_scorer, inputs, blocks, step)
    expected = parameter_gradient(exact(linear_scorer, inputs, blocks).outside, linear_scorer)
    torch.testing.assert_close(parameter_gradient(found.outside, linear_scorer), expected)
    assert found.slope_error.max() < 1e-9


@pytest.mark.parametrize("blocks", [(1, 1, 1), (2, 2, 3)])
def test_on_a_smooth_network_the_error_falls_with_the_square_of_the_step(scorer, inputs, blocks):
    expected = parameter_gradient(exact(scorer, inputs, blocks).outside, scorer)
    off, told = [], []
    for step in (0.02, 0.01, 0.005):
        found = estimate(scorer, inputs, blocks, step)
        off.append((parameter_gradient(found.outside, scorer) - expected).norm() / expected.norm())
        told.append(found.slope_error)
    assert 0 < off[2] < 0.01
    for fine, coarse in ((off[1], off[0]), (off[2], off[1]), (told[2].mean(), told[1].mean())):
        assert coarse / fine == pytest.approx(4, rel=0.1)


def test_the_error_is_that_of_the_slope_relative_to_the_energy(inputs):
    class Cubic(nn.Module):  # f(x) = sum of w x^3: the central difference of step e is off by e^2 sum of w v^3
        def __init__(self):
            super().__init__()
            self.weights = nn.Parameter(torch.ones(3, dtype=torch.float64))

        def forward(self, clips):
            return clips.pow(3).sum((1, 2, 3, 4))[:, None] * self.weights

    clips, masks = inputs
    found = estimate(Cubic(), inputs, step=0.3)
    for actor, clip in enumerate(INDEX.tolist()):
        v = 24 * 3 * clips[clip] ** 2 * ~masks[actor]
        length = 0.3 / v.square().mean().sqrt()
        energy = v.square().sum() / 24
        assert found.slope_error[actor].item() == pytest.approx((length**2 * v.pow(3).sum() / energy).item())


def test_where_the_gradient_vanishes_nothing_is_divided_by_zero(scorer, inputs):
    everything = torch.ones_like(inputs[1])
    found = estimate(scorer, (inputs[0].float().double(), everything))
    assert found.outside.tolist() == found.slope_error.tolist() == [0, 0, 0]
    assert torch.isfinite(parameter_gradient(found.outside, scorer)).all()


def test_it_takes_no_double_backward(inputs):
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, gradient):
            return 2 * gradient

    network = nn.Linear(72, 3, dtype=torch.float64)
    found = estimate(lambda clips: Once.apply(network(clips.flatten(1))), inputs)
    assert torch.isfinite(parameter_gradient(found.outside, network)[: 3 * 72]).all()


def test_no_actors_have_no_energies(scorer, inputs):
    clips = inputs[0].requires_grad_()
    none = torch.zeros(0, dtype=torch.int64)
    found = difference_energy(lambda x: scorer(x)[none, none], scorer(clips)[none, none], clips, inputs[1][:0], none)
    assert found.outside.shape == found.inside.shape == found.slope_error.shape == (0,)


def test_refuses_an_estimate_that_does_not_reach_the_weights(scorer, inputs):
    with pytest.raises(PenaltyError, match="does not reach the weights"):
        estimate(scorer.requires_grad_(False), inputs)
