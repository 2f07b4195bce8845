"""The step of the optimizer: mixed precision on any device, and no step along a gradient that is not finite."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from stal.errors import ConfigError

Precision = Literal["float32", "bfloat16", "float16"]
Fault = Literal["loss", "gradient"]

_LEAST_SCALE = 1.0  # at which a gradient that overflows does not for its scale


class GuardedOptimWrapper(OptimWrapper):
    """Update the weights, unless a loss or a gradient is not finite in any of the processes; then leave all as it was.

    Such a batch changes neither weights nor the optimizer's state, nor the model's buffers, where statistics of norms
    and the state of penalties stand, as its forward pass has changed those already. If gradients are accumulated, the
    whole step that the batch is part of is dropped. All processes look at each other's batches, so that they do the
    same; `GuardHook` says what happened, and when it is enough.

    With `precision` the forward pass runs in half precision where that is safe. bfloat16 has the range of float32, and
    needs nothing else. float16 has not: the loss is scaled up, so that small gradients are not lost, by a factor that
    falls with each step whose gradients overflow. Such a step is skipped too, but it is no fault. The factor is part
    of the state that a checkpoint holds.

    Args:
        precision: of the forward pass.
        kwargs: as of `OptimWrapper`: optimizer, accumulative_counts, clip_grad.

    Attributes:
        fault: what of the last batch was not finite in any process; None if all was.
        is_own_fault: whether it was of this process's batch, as far as that can be told.
        is_skipped: whether the last batch was without effect: for its own fault, for one in the same step, or because
            its gradients overflow in float16.

    Raises:
        ConfigError: there is no such precision.
    """

    fault: Fault | None = None
    is_own_fault = False
    is_skipped = False

    def __init__(self, *, precision: Precision = "float32", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dtype = _dtype_of(precision)
        self._scaler = torch.amp.GradScaler(get_device()) if precision == "float16" else None
        self._drops_step = False
        self._buffers: list[tuple[Tensor, Tensor]] = []  # of the model, and what they were before the step

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Note the model's buffers, and enable autocast."""
        if self._begins_step:
            self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        with (
            super().optim_context(model),
            torch.autocast(get_device(), dtype=self._dtype, enabled=self._dtype != torch.float32),
        ):
            yield

    def update_params(
        self, loss: Tensor, step_kwargs: dict[str, Any] | None = None, zero_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Add the gradients of a loss, and make the step if it is time; or drop it.

        Args:
            loss: of the batch, in this process.
            step_kwargs: of the optimizer's `step`.
            zero_kwargs: of the optimizer's `zero_grad`.
        """
        if self._begins_step:
            self._drops_step = False
        # Also if the loss is not finite: other processes wait for the gradients.
        self.backward(self.scale_loss(loss))
        overflows = self._look_for_fault(loss)
        self._drops_step |= self.fault is not None
        self.is_skipped = self._drops_step or overflows
        if self._drops_step:
            self.zero_grad(**(zero_kwargs or {}))
            self._restore_buffers()
        elif self.should_update():
            self.step(overflows=overflows, **(step_kwargs or {}))
            self.zero_grad(**(zero_kwargs or {}))
            if overflows:
                self._restore_buffers()

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Add the gradients of a loss, scaled if the precision needs it."""
        super().backward(loss if self._scaler is None else self._scaler.scale(loss), **kwargs)

    def step(self, *, overflows: bool = False, **kwargs: Any) -> None:
        """Clip gradients if the config says so, and make the optimizer's step, unless they overflow.

        Args:
            overflows: whether gradients do that for the scale, which then falls.
            kwargs: of the optimizer's `step`.
        """
        if self._scaler is None:
            super().step(**kwargs)
            return
        self._scaler.unscale_(self.optimizer)
        if not overflows:  # the scaler would skip it too, but a fused SGD begins with any momentum after that
            if self.clip_grad_kwargs:
                self._clip_grad()
            self._scaler.step(self.optimizer, **kwargs)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer, with that of the scaler if there is one."""
        state = super().state_dict()
        return state if self._scaler is None else {**state, "loss_scaler": self._scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, whatever the precision that it was saved in."""
        state = dict(state_dict)
        scaler = state.pop("loss_scaler", None)
        super().load_state_dict(state)
        if self._scaler is not None and scaler is not None:
            self._scaler.load_state_dict(scaler)

    @property
    def _begins_step(self) -> bool:
        """Whether the next batch is the first whose gradients go into a step."""
        return self._inner_count % self._accumulative_counts == 0

    @torch.no_grad()
    def _restore_buffers(self) -> None:
        """Give the model's buffers the values that they had before the step."""
        for buffer, before in self._buffers:
            buffer.copy_(before)

    def _look_for_fault(self, loss: Tensor) -> bool:
        """Find out, together with all processes, what is not finite; return whether it is gradients that overflow."""
        weights = (weight for group in self.optimizer.param_groups for weight in group["params"])
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        # Scaled gradients may be so large that their squares overflow though they do not; that takes longer on a CPU.
        norm = torch.nn.utils.get_total_norm(gradients, 2.0 if self._scaler is None else math.inf)
        own = ~torch.stack([loss.detach().isfinite().all(), norm.isfinite().to(loss.device)])
        flags = own.int()
        all_reduce(flags, "max")
        is_bad = dict(zip(get_args(Fault), flags.bool().tolist(), strict=True))
        overflows = (
            is_bad["gradient"]
            and not is_bad["loss"]
            and self._scaler is not None
            and self._scaler.get_scale() > _LEAST_SCALE
        )
        self.fault = None if overflows else next((what for what, bad in is_bad.items() if bad), None)
        self.is_own_fault = self.fault is not None and bool(own[get_args(Fault).index(self.fault)])
        return overflows


def _dtype_of(precision: str) -> torch.dtype:
    if precision not in get_args(Precision):
        raise ConfigError(f"optim_wrapper.precision = {precision!r} is none of {', '.join(get_args(Precision))}")
    return getattr(torch, precision)
