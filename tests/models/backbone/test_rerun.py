import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from stal.models.backbone.rerun import rerun


class Bent(nn.Module):
    """Two tensors and a number in; two tensors and a number out."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.num_calls = 0

    def forward(self, first: Tensor, power: int, second: Tensor) -> tuple[Tensor, int, Tensor]:
        self.num_calls += 1
        bent = self.linear(first).tanh()
        return bent**power * second, power + 1, bent.sin()


def call(stage: nn.Module, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    product, power, sine = rerun(Bent.__call__, stage, first, 2, second)
    assert power == 3
    return product, sine


@pytest.fixture
def stage() -> Bent:
    torch.manual_seed(0)
    return Bent().double()


def inputs(**settings: bool) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 3, generator=generator, dtype=torch.float64, **settings) for _ in range(2)]


def test_gradients_of_first_and_second_order_are_right(stage):
    first, second = inputs(requires_grad=True)
    assert gradcheck(lambda a, b: call(stage, a, b), (first, second))
    assert gradgradcheck(lambda a, b: call(stage, a, b), (first, second))


@pytest.mark.parametrize("frozen", [(), ("linear.weight",), ("linear.weight", "linear.bias")])
@pytest.mark.parametrize("of_inputs", [False, True])
def test_only_what_needs_a_gradient_gets_one(stage, frozen, of_inputs):
    for name in frozen:
        stage.get_parameter(name).requires_grad_(False)
    first, second = inputs(requires_grad=of_inputs)
    total = sum(output.square().sum() for output in call(stage, first, second))
    if not of_inputs and len(frozen) == 2:
        assert not total.requires_grad
        return
    total.backward()
    assert (first.grad is not None) == of_inputs
    assert {name for name, weight in stage.named_parameters() if weight.grad is None} == set(frozen)


def test_an_output_that_is_not_used_has_no_part(stage):
    first, second = inputs(requires_grad=True)
    call(stage, first, second)[1].sum().backward()
    expected = torch.autograd.grad(stage(first, 2, second)[2].sum(), first)[0]
    torch.testing.assert_close(first.grad, expected)
    assert second.grad is None or not second.grad.any()


def test_a_stage_runs_once_more_for_each_order(stage):
    first, second = inputs(requires_grad=True)
    total = call(stage, first, second)[0].sum()
    assert stage.num_calls == 1
    (gradient,) = torch.autograd.grad(total, first, create_graph=True)
    assert stage.num_calls == 2
    gradient.square().sum().backward()
    assert stage.num_calls == 3


def test_it_runs_again_in_the_same_precision(stage):
    stage.float()
    first, second = (values.float().requires_grad_() for values in inputs())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = stage(first, 2, second)[0]
        again = call(stage, first, second)[0]
    assert again.dtype == plain.dtype and torch.equal(again, plain)
    expected, found = (torch.autograd.grad(output.float().sum(), first)[0] for output in (plain, again))
    assert torch.equal(found, expected)


def test_a_third_order_is_refused(stage):
    first, second = inputs(requires_grad=True)
    (gradient,) = torch.autograd.grad(call(stage, first, second)[0].sum(), first, create_graph=True)
    (again,) = torch.autograd.grad(gradient.square().sum(), first, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        again.sum().backward()
