"""The step of the optimizer in every precision, and what is left as it was when a batch is not finite."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from stal.engine import optim_wrapper
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.errors import ConfigError

NUM_BATCHES = 7
BATCHES = torch.randn(NUM_BATCHES, 4, 3, generator=torch.Generator().manual_seed(1)).to(get_device())


class Network(nn.Module):
    """A network with batch norm, which keeps statistics, and the dtype that its forward pass ran in."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
        self.dtypes: set[torch.dtype] = set()
        self.to(get_device())

    def forward(self, batch: Tensor) -> Tensor:
        found = self.layers(batch)
        self.dtypes.add(found.dtype)
        return found.float().square().mean()


def nan_gradient(network: Network, loss: Tensor) -> Tensor:
    """Return a finite loss whose gradient is not."""
    return loss + (network.layers[0].weight[0, 0] * 0).sqrt()


FAULTS: dict[str, Callable[[Network, Tensor], Tensor]] = {
    "NaN loss": lambda network, loss: loss * math.nan,
    "infinite loss": lambda network, loss: loss * math.inf,
    "loss without gradient": lambda network, loss: loss + math.inf,
    "NaN gradient": nan_gradient,
}


def wrap(network: Network, kind: type[OptimWrapper] = GuardedOptimWrapper, **settings: Any) -> OptimWrapper:
    return kind(optimizer=torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9), **settings)


def train(
    network: Network,
    wrapper: OptimWrapper,
    batches: Sequence[int] = range(NUM_BATCHES),
    faulty: Sequence[int] = (),
    fault: Callable[[Network, Tensor], Tensor] = FAULTS["NaN loss"],
) -> list[tuple[str | None, bool]]:
    """Train on batches by their numbers, and return of each what was not finite, and whether it was skipped."""
    seen = []
    wrapper.initialize_count_status(network, 0, len(batches))
    for number in batches:
        with wrapper.optim_context(network):
            batch = BATCHES[number] + (math.nan if number in faulty and fault is FAULTS["NaN loss"] else 0)
            loss = network(batch)
        wrapper.update_params(fault(network, loss) if number in faulty else loss)
        seen.append((getattr(wrapper, "fault", None), getattr(wrapper, "is_skipped", False)))
    return seen


def state_of(network: Network, wrapper: OptimWrapper) -> dict[str, Any]:
    return copy.deepcopy({"network": network.state_dict(), "optimizer": wrapper.state_dict()})


def assert_same(left: Any, right: Any) -> None:
    torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=False)


@pytest.mark.parametrize("accumulative_counts", [1, 3])
@pytest.mark.parametrize("clip_grad", [None, {"max_norm": 0.1}])
def test_finite_batches_train_as_by_mmengine(accumulative_counts, clip_grad, message_hub):
    states = []
    for kind in (OptimWrapper, GuardedOptimWrapper):
        network = Network()
        wrapper = wrap(network, kind, accumulative_counts=accumulative_counts, clip_grad=copy.copy(clip_grad))
        train(network, wrapper)
        states.append(state_of(network, wrapper))
    assert_same(*states)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [0, 3, NUM_BATCHES - 1])
def test_a_batch_that_is_not_finite_leaves_no_trace(fault, number):
    states = []
    others = [other for other in range(NUM_BATCHES) if other != number]
    for batches in (range(NUM_BATCHES), others):
        network = Network()
        wrapper = wrap(network)
        seen = train(network, wrapper, batches, (number,), FAULTS[fault])
        what = "gradient" if fault == "NaN gradient" else "loss"
        assert seen == [(what, True) if batch == number else (None, False) for batch in batches]
        states.append(state_of(network, wrapper))
    assert_same(*states)


@pytest.mark.parametrize("number", [3, 4, 5])
def test_a_step_that_is_accumulated_is_dropped_as_a_whole(number):
    states = []
    for batches in ([0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 6]):
        network = Network()
        wrapper = wrap(network, accumulative_counts=3)
        seen = train(network, wrapper, batches, (number,))
        assert [skipped for _, skipped in seen] == [batch in (3, 4, 5) and batch >= number for batch in batches]
        states.append(state_of(network, wrapper))
    assert_same(*states)


@pytest.mark.parametrize(("others", "fault", "is_own"), [((1, 0), "loss", False), ((0, 1), "gradient", False)])
def test_a_batch_of_another_process_is_a_fault_here_too(monkeypatch, others, fault, is_own):
    network = Network()
    wrapper = wrap(network)
    train(network, wrapper, [0])
    before = state_of(network, wrapper)
    monkeypatch.setattr(
        optim_wrapper, "all_reduce", lambda flags, op: flags.copy_(torch.maximum(flags, flags.new_tensor(others)))
    )
    assert train(network, wrapper, [1]) == [(fault, True)]
    assert wrapper.is_own_fault is is_own
    assert_same(state_of(network, wrapper), before)


def test_a_gradient_that_is_nobodys_loss_is_the_fault_of_those_who_have_it():
    network = Network()
    wrapper = wrap(network)
    train(network, wrapper, [0], [0], nan_gradient)
    assert wrapper.is_own_fault


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_the_forward_pass_runs_in_the_precision_that_is_chosen(precision, dtype):
    network = Network()
    wrapper = wrap(network, precision=precision)
    exact = Network()
    train(network, wrapper)
    train(exact, wrap(exact))
    assert network.dtypes == {dtype}
    for weight, expected in zip(network.parameters(), exact.parameters(), strict=True):
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, expected, rtol=0.05, atol=0.05)


def test_an_unknown_precision_is_an_error():
    from stal.engine.optim_wrapper import _dtype_of  # jaxtyping refuses it first while tests run

    with pytest.raises(ConfigError, match="precision = 'half' is none of float32, bfloat16, float16"):
        _dtype_of("half")


def overflowing(network: Network, loss: Tensor) -> Tensor:
    """Return a loss whose gradient is finite, but not when it is scaled by 65536."""
    return loss * 1e36


@pytest.mark.parametrize("clip_grad", [None, {"max_norm": 1.0}])
def test_gradients_that_overflow_are_skipped_without_a_fault_and_lower_the_scale(clip_grad, message_hub):
    network = Network()
    wrapper = wrap(network, precision="float16", clip_grad=clip_grad)
    train(network, wrapper, [0])
    before = state_of(network, wrapper)
    assert train(network, wrapper, [1], [1], overflowing) == [(None, True)]
    after = state_of(network, wrapper)
    assert after["optimizer"].pop("loss_scaler")["scale"] == before["optimizer"].pop("loss_scaler")["scale"] / 2
    assert_same(after["optimizer"], before["optimizer"])
    assert_same(after["network"], before["network"])
    assert train(network, wrapper, [2]) == [(None, False)]


def test_a_fused_optimizer_whose_first_step_overflows_trains_as_one_that_is_not(message_hub):
    trained = []
    for fused in (False, True):
        network = Network()
        sgd = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, fused=fused)
        wrapper = GuardedOptimWrapper(optimizer=sgd, precision="float16", clip_grad={"max_norm": 1.0})
        assert train(network, wrapper, range(4), [0], overflowing) == [(None, True), *[(None, False)] * 3]
        trained.append(torch.nn.utils.parameters_to_vector(network.parameters()).detach())
    torch.testing.assert_close(*trained)


@pytest.mark.parametrize("number", [1, 2])
def test_an_accumulated_step_that_overflows_leaves_the_buffers_as_they_were(number, message_hub):
    network = Network()
    wrapper = wrap(network, precision="float16", accumulative_counts=2)
    train(network, wrapper, [0, 1])
    before = state_of(network, wrapper)
    train(network, wrapper, [1, 2], [number], overflowing)
    assert_same(state_of(network, wrapper)["network"], before["network"])


def test_a_gradient_that_is_not_finite_at_any_scale_becomes_a_fault():
    network = Network()
    wrapper = wrap(network, precision="float16")
    seen = train(network, wrapper, [0] * 20, [0], nan_gradient)
    assert seen == [(None, True)] * 16 + [("gradient", True)] * 4  # the scale begins at 2**16
    assert train(network, wrapper, [1]) == [(None, False)]


def test_a_loss_that_is_not_finite_is_a_fault_in_half_precision_too():
    network = Network()
    wrapper = wrap(network, precision="float16")
    train(network, wrapper, [0])
    before = state_of(network, wrapper)
    assert train(network, wrapper, [1], [1]) == [("loss", True)]
    assert_same(state_of(network, wrapper), before)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("saved_precision", ["float32", "float16"])
def test_a_state_goes_on_in_any_precision(saved_precision, precision):
    network = Network()
    wrapper = wrap(network, precision=saved_precision)
    train(network, wrapper, [0])
    train(network, wrapper, [1], [1], overflowing)
    saved = wrapper.state_dict()
    resumed = wrap(network, precision=precision)
    resumed.load_state_dict(saved)
    assert_same(resumed.optimizer.state_dict(), wrapper.optimizer.state_dict())
    if precision == "float16":
        scale = resumed.state_dict()["loss_scaler"]["scale"]
        assert scale == (2.0**15 if saved_precision == "float16" else 2.0**16)


def test_a_training_in_float16_goes_on_from_its_state_to_the_last_bit():
    through = Network()
    wrapper = wrap(through, precision="float16", accumulative_counts=2)
    train(through, wrapper, [0, 1], [0], overflowing)
    saved = state_of(through, wrapper)
    train(through, wrapper, [2, 3, 4, 5])
    resumed = Network()
    other = wrap(resumed, precision="float16", accumulative_counts=2)
    resumed.load_state_dict(saved["network"])
    other.load_state_dict(saved["optimizer"])
    train(resumed, other, [2, 3, 4, 5])
    assert_same(state_of(resumed, other), state_of(through, wrapper))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_step_with_a_penalty_is_that_of_float32(precision, small_model, clips, message_hub):
    weights = []
    for chosen in ("float32", precision):
        model = small_model(1.0, proposals="ground_truth").to(get_device()).train()
        wrapper = GuardedOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.01), precision=chosen)
        torch.manual_seed(7)  # of the boxes that the detector draws
        losses = model.train_step(clips, wrapper)
        assert losses["loss_pgg"] > 0 and not wrapper.is_skipped
        weights.append(dict(model.named_parameters()))
    torch.testing.assert_close(weights[1], weights[0])
