"""What mixers that make one new clip of each clip of a batch have in common."""

from abc import ABC, abstractmethod

import torch

from stal.mixing.layers import Layer, join, layers_of
from stal.mixing.provenance import ActorMask
from stal.structures import ClipBatch


class ClipMixer(ABC):
    """A mixer as a frozen dataclass of its settings, with one method that says what becomes of a clip.

    Attributes:
        mask: whether an actor is its box or its silhouette.
    """

    mask: ActorMask

    def __call__(self, batch: ClipBatch, generator: torch.Generator) -> ClipBatch:
        """Return the mixed batch, with provenance, on the same device; nothing in `batch` is changed.

        Args:
            batch: clips as they come from videos, or mixed before.
            generator: on the CPU, whatever the device of the batch, so that all devices draw the same.

        Raises:
            ShapeError: silhouettes are wanted, and the batch has none.
        """
        layers = layers_of(batch, self.mask)
        return join([self._mix(host, layers, generator) for host in range(len(layers))], batch)

    @abstractmethod
    def _mix(self, host: int, layers: list[Layer], generator: torch.Generator) -> Layer:
        """Return what becomes of clip `host`, one of `layers`."""
