"""Several mixers one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from stal.errors import ConfigError
from stal.structures import ClipBatch

Mixer = Callable[[ClipBatch, torch.Generator], ClipBatch]
"""Makes mixed clips with provenance of clips; draws from the generator alone, and changes nothing in the batch."""


@dataclass(frozen=True)
class Chain:
    """Mix with several mixers, each mixing what the one before it made.

    Sources of voxels and actors stay clips of the batch as it came in, and label weights multiply. What the voxels of
    an actor are, box or silhouette, is said by the `mask` of the first mixer; to the others the provenance tells it.

    Attributes:
        mixers: in their order.
    """

    mixers: Sequence[Mixer]

    def __post_init__(self) -> None:
        if not self.mixers:
            raise ConfigError("Chain: mixers is empty; name at least one, or use mixer=None for no mixing")

    def __call__(self, batch: ClipBatch, generator: torch.Generator) -> ClipBatch:
        """Return the mixed batch, with provenance, on the same device; nothing in `batch` is changed.

        Args:
            batch: clips as they come from videos, or mixed before.
            generator: on the CPU; the mixers draw from it one after the other.
        """
        for mixer in self.mixers:
            batch = mixer(batch, generator)
        return batch
