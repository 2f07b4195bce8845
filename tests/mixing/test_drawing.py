import pytest
import torch

from stal.mixing.drawing import draw_beta, draw_between


def test_numbers_are_drawn_uniformly_between_two():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([draw_between(-2.0, 3.0, generator) for _ in range(2000)])
    assert drawn.min() >= -2 and drawn.max() <= 3
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.1)
    assert drawn.var().item() == pytest.approx(25 / 12, rel=0.05)


@pytest.mark.parametrize("alpha", [0.4, 1.0, 8.0, 200.0])
def test_the_beta_distribution_has_its_mean_and_variance(alpha):
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([draw_beta(alpha, generator) for _ in range(2000)], dtype=torch.float64)
    assert drawn.min() >= 0 and drawn.max() <= 1
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02)
    assert drawn.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
