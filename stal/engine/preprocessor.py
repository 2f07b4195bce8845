"""What happens to a batch on the device before the model sees it: stacking, mixing, normalising."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from mmengine.model import BaseDataPreprocessor

from stal.mixing.provenance import ActorMask, add_provenance
from stal.structures import Clip, ClipBatch

Mixer = Callable[[ClipBatch, torch.Generator], ClipBatch]


@dataclass(frozen=True)
class PreparedBatch:
    """A batch as the model takes it.

    Attributes:
        batch: normalised clips; in training mixed, with provenance.
        clips: the clips that it was made from.
    """

    batch: ClipBatch
    clips: Sequence[Clip]


class ClipPreprocessor(BaseDataPreprocessor):
    """Stack clips on the device; in training mix them, or else only note where every voxel came from; normalise.

    Args:
        mixer: makes mixed clips with provenance of unmixed ones; None for no mixing.
        mask: what marks an actor's voxels if there is no mixer: its `box` or its `silhouette`.
        mean, std: of each channel, on the scale 0 to 255; the defaults are SlowFast's 0.45 and 0.225.
        seed: the mixer draws from (seed, rank, number of the batch).
    """

    def __init__(
        self,
        mixer: Mixer | None = None,
        *,
        mask: ActorMask = "box",
        mean: Sequence[float] = (114.75, 114.75, 114.75),
        std: Sequence[float] = (57.375, 57.375, 57.375),
        seed: int = 0,
    ) -> None:
        super().__init__(non_blocking=True)
        self.mixer = mixer
        self.mask = mask
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1, 1), persistent=False)
        self.generator = torch.Generator().manual_seed(seed)

    def forward(self, data: Sequence[Clip], training: bool = False) -> PreparedBatch:
        """Return the batch of these clips."""
        batch = ClipBatch.from_clips(data).to(self.device)
        if training:
            batch = self.mixer(batch, self.generator) if self.mixer else add_provenance(batch, self.mask)
        return PreparedBatch(dataclasses.replace(batch, clips=self.normalize(batch.clips)), data)

    def normalize(self, clips: torch.Tensor) -> torch.Tensor:
        """Return uint8 clips (B, C, T, H, W) as floats of zero mean and unit variance."""
        return (clips.float() - self.mean) / self.std
