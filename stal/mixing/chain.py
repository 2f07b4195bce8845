"""Several mixers one after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from stal.errors import ConfigError
from stal.mixing.actor_cut_mix import ActorCutMix
from stal.mixing.scene_swap import SceneSwap
from stal.structures import ClipBatch

Mixer = Callable[[ClipBatch, torch.Generator], ClipBatch]
"""Makes mixed clips with provenance of clips; draws from the generator alone, and changes nothing in the batch."""

EMPTYING = (SceneSwap, ActorCutMix)
"""Mixers that take the actors out of a scene."""


@dataclass(frozen=True)
class Chain:
    """Mix with several mixers, each mixing what the one before it made.

    Sources of voxels and actors stay clips of the batch as it came in, and label weights multiply. All mixers have the
    same `mask`, as the voxels of an actor are those that the first of them found.

    `SceneSwap` and `ActorCutMix` come before all others: they take the actors out of a scene, and have to know them
    all. Of an actor that another mixer hid below its `min_visible`, or blended in, something is seen that is no one's.

    What an earlier mixer hid is forgotten. A later one judges depth by the boxes that were cut to what is left, and
    `min_visible` as a part of the voxels that are left, so that an actor that is hidden twice by a half is labelled,
    with a `min_visible` of 0.3, though a quarter of it is seen.

    Attributes:
        mixers: in their order.
    """

    mixers: Sequence[Mixer]

    def __post_init__(self) -> None:
        if not self.mixers:
            raise ConfigError("Chain: mixers is empty; name at least one, or use mixer=None for no mixing")
        mixers = list(_unchained(self.mixers))
        masks = sorted({mixer.mask for mixer in mixers if hasattr(mixer, "mask")})
        if len(masks) > 1:
            raise ConfigError(
                f"Chain: its mixers have the masks {masks}; give all of them the same, since an actor's voxels are "
                "those that the first mixer found"
            )
        for before, mixer in pairwise(mixers):
            if isinstance(mixer, EMPTYING) and not isinstance(before, EMPTYING):
                raise ConfigError(
                    f"Chain: {_name(mixer)} comes after {_name(before)}, and would leave in its scenes what is seen of "
                    "actors that are no longer labelled; swap first, then paste"
                )

    def __call__(self, batch: ClipBatch, generator: torch.Generator) -> ClipBatch:
        """Return the mixed batch, with provenance, on the same device; nothing in `batch` is changed.

        Args:
            batch: clips as they come from videos, or mixed before.
            generator: on the CPU; the mixers draw from it one after the other.
        """
        for mixer in self.mixers:
            batch = mixer(batch, generator)
        return batch


def _unchained(mixers: Sequence[Mixer]) -> Iterator[Any]:
    """Yield mixers in their order, in place of a chain those that it is made of."""
    for mixer in mixers:
        if isinstance(mixer, Chain):
            yield from _unchained(mixer.mixers)
        else:
            yield mixer


def _name(mixer: Any) -> str:
    """Return the name of a mixer's class, or of a function."""
    return getattr(mixer, "__name__", type(mixer).__name__)
