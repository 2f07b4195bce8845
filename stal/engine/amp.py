"""Mixed precision on any device; mmengine's own wrapper refuses the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn


class AutocastOptimWrapper(OptimWrapper):
    """Run the forward pass in bfloat16 where that is safe.

    bfloat16 has the range of float32, so that neither the loss nor the gradient that a penalty squares needs scaling.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enable autocast on the device that is trained on."""
        with super().optim_context(model), torch.autocast(get_device(), dtype=torch.bfloat16):
            yield
