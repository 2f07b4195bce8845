"""Operations that a step has, and that a device can do."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from stal.profiling.timing import synchronize

_MATRIX = {"cuda": 8192, "cpu": 1024}  # rows and columns: enough to keep the device busy
_REPEATS = 10


def count_flops(step: Callable[[], object]) -> int:
    """Return the floating-point operations of convolutions, matrix products and attention in a step.

    A product and a sum are two. What else a step does counts for nothing: it takes time for its memory traffic, and
    next to none for its operations.
    """
    with _Counter() as counter:
        step()
    return counter.num_flops


class _Counter(TorchDispatchMode):
    """Adds up what torch's own counter knows of each operation; that one cannot follow a double backward."""

    num_flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.num_flops += count(*args, **(kwargs or {}), out_val=result)
        return result


def matmul_flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """Return what the device does in the product of two large matrices: the roof of everything else, as measured."""
    size = _MATRIX[device.type]
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    fastest = float("inf")
    for _ in range(_REPEATS):
        synchronize(device)
        start = time.perf_counter()
        left @ right
        synchronize(device)
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * size**3 / fastest
