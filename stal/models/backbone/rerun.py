"""Stages that keep only what goes into them, and run again when their gradient is asked for, or its gradient.

`torch.utils.checkpoint` does so for a first gradient. One that is to be differentiated again, as in a penalty on input
gradients, keeps all of every stage after all: the graph of the first gradient holds what was computed again. Here that
gradient is a step that keeps only what goes into it too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def rerun(run: Callable[..., Any], stage: nn.Module, *inputs: Any) -> Any:
    """Return `run(stage, *inputs)`, and keep of it only `inputs` until its gradients are asked for, of any order.

    Args:
        run: the same each time that it is called, and without chance: dropout would be drawn again.
        stage: what has all the weights that `run` uses.
        inputs: tensors, and what else `run` takes.
    """
    call = _Call(run, stage, inputs)
    return _Stage.apply(call, *call.tensors(inputs), *call.weights)


class _Call:
    """A call of a stage that can be made again, in the same precision."""

    def __init__(self, run: Callable[..., Any], stage: nn.Module, inputs: Sequence[Any]) -> None:
        self.weights = [weight for weight in stage.parameters() if weight.requires_grad]
        self.num_inputs = len(self.tensors(inputs))
        self._run, self._stage = run, stage
        self._others = [None if isinstance(value, Tensor) else value for value in inputs]
        device_type = next(iter(self.tensors(inputs))).device.type
        self._precision: dict[str, Any] = {
            "device_type": device_type,
            "dtype": torch.get_autocast_dtype(device_type),
            "enabled": torch.is_autocast_enabled(device_type),
        }

    @staticmethod
    def tensors(values: Sequence[Any]) -> list[Tensor]:
        return [value for value in values if isinstance(value, Tensor)]

    def __call__(self, tensors: Sequence[Tensor]) -> Any:
        """Return what the stage makes of these tensors, and of the other inputs."""
        given = iter(tensors)
        inputs = [next(given) if other is None else other for other in self._others]
        with torch.autocast(**self._precision):
            return self._run(self._stage, *inputs)

    def gradients(
        self, tensors: Sequence[Tensor], of_outputs: Sequence[Tensor], *, create_graph: bool = False
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of a new call with respect to its tensors and its weights."""
        result = self(tensors)
        outputs = self.tensors(result if isinstance(result, tuple) else (result,))
        return _gradients(outputs, [*tensors, *self.weights], of_outputs, create_graph=create_graph)


class _Stage(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *values: Tensor) -> Any:
        ctx.call = call
        ctx.save_for_backward(*values)
        return call(values[: call.num_inputs])

    @staticmethod
    def backward(ctx: Any, *of_outputs: Any) -> Any:
        return None, *_StageGradient.apply(ctx.call, *ctx.saved_tensors, *_Call.tensors(of_outputs))


class _StageGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *values: Tensor) -> Any:
        ctx.call = call
        ctx.save_for_backward(*values)
        ctx.set_materialize_grads(False)
        tensors, of_outputs = _split(call, values)
        with torch.enable_grad():
            return call.gradients([_leaf(tensor, tensor.requires_grad) for tensor in tensors], of_outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *of_gradients: Tensor | None) -> Any:
        call: _Call = ctx.call
        saved, of_saved = _split(call, ctx.saved_tensors)
        tensors = [_leaf(tensor, tensor.requires_grad) for tensor in saved]
        of_outputs = [_leaf(gradient, True) for gradient in of_saved]
        with torch.enable_grad():
            gradients = call.gradients(tensors, of_outputs, create_graph=True)
        return None, *_gradients(gradients, [*tensors, *call.weights, *of_outputs], of_gradients)


def _split(call: _Call, values: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Return the tensors of a call, and the gradients of its outputs; between them are its weights."""
    return values[: call.num_inputs], values[call.num_inputs + len(call.weights) :]


def _leaf(tensor: Tensor, requires_grad: bool) -> Tensor:
    return tensor.detach().requires_grad_(requires_grad)


def _gradients(
    outputs: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    of_outputs: Sequence[Tensor | None],
    *,
    create_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradient of each input; None where it needs none, or where nothing that is asked for depends on it."""
    asked = [
        (output, of_output)
        for output, of_output in zip(outputs, of_outputs, strict=True)
        if output is not None and of_output is not None and output.requires_grad
    ]
    needed = [tensor for tensor in inputs if tensor.requires_grad]
    found: list[Tensor | None] = [None] * len(needed)
    if asked and needed:
        chosen, of_chosen = zip(*asked, strict=True)
        found = list(torch.autograd.grad(chosen, needed, of_chosen, create_graph=create_graph, allow_unused=True))
    given = iter(found)
    return tuple(next(given) if tensor.requires_grad else None for tensor in inputs)
