import pytest
import torch
from torch import nn

from stal.profiling.flops import count_flops, matmul_flops_per_second


def test_a_matrix_product_has_two_operations_for_each_of_its_terms():
    assert count_flops(lambda: torch.ones(3, 5) @ torch.ones(5, 7)) == 2 * 3 * 5 * 7


def test_what_is_done_element_by_element_counts_for_nothing():
    assert count_flops(lambda: torch.ones(100).exp().sum()) == 0


@pytest.mark.parametrize(("backward", "passes"), [(False, 1), (True, 3)])
def test_a_convolution_has_as_many_for_each_of_its_gradients(backward, passes):
    network, clips = nn.Conv3d(3, 4, (1, 3, 3), bias=False), torch.randn(2, 3, 5, 8, 9, requires_grad=True)

    def step() -> None:
        scores = network(clips).sum()
        if backward:
            scores.backward()

    assert count_flops(step) == passes * 2 * (2 * 4 * 5 * 6 * 7) * (3 * 3 * 3)


def test_a_double_backward_is_followed():
    network, clips = nn.Conv3d(3, 4, (1, 3, 3), bias=False), torch.randn(2, 3, 5, 8, 9, requires_grad=True)

    def step(doubly: bool) -> None:
        (gradient,) = torch.autograd.grad(network(clips).square().sum(), clips, create_graph=True)
        if doubly:
            gradient.square().sum().backward()

    once, twice = (count_flops(lambda doubly=doubly: step(doubly)) for doubly in (False, True))
    assert twice >= 2 * once


def test_the_device_has_a_speed():
    assert matmul_flops_per_second(torch.device("cpu"), torch.float32) > 1e8
