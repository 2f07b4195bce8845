"""What happens to a batch on the device before the model sees it: stacking, mixing, normalising."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseDataPreprocessor

from stal.data.clip_persons import with_persons
from stal.data.proposals import ProposalFile
from stal.data.transforms import PendingClip
from stal.engine.step_seed import Purpose, step_entropy
from stal.mixing.chain import Mixer
from stal.mixing.layers import add_provenance
from stal.mixing.provenance import ActorMask
from stal.structures import Clip, ClipBatch


@dataclass(frozen=True)
class PreparedBatch:
    """A batch as the model takes it.

    Attributes:
        batch: normalised clips; in training mixed, with provenance.
        clips: the clips that it was made from; of these only frames and silhouettes are on the device.
    """

    batch: ClipBatch
    clips: Sequence[Clip]


class ClipPreprocessor(BaseDataPreprocessor):
    """Stack clips on the device; in training mix them, or else only note where every voxel came from; normalise.

    Clips that are not transformed yet are transformed there first. Until they are normalised, all are uint8.

    Args:
        mixer: makes mixed clips with provenance of unmixed ones; None for no mixing.
        mask: what marks an actor's voxels if there is no mixer: its `box` or its `silhouette`.
        keep_originals: hand on in `originals` what the clips were before they were mixed, for `DifferenceMasks`.
        persons: who takes the place of the annotated actors in training, without labels, see `with_persons`; None for
            the annotated actors.
        mean, std: of each channel, on the scale 0 to 255; the defaults are SlowFast's 0.45 and 0.225.
        seed: of the mixer, penalty and penalty masks, which draw from (seed, rank, number of the batch), so that a
            resumed training goes on as one that was never cut off; None for torch's seed, which a runner sets to its
            own.
    """

    def __init__(
        self,
        mixer: Mixer | None = None,
        *,
        mask: ActorMask = "box",
        keep_originals: bool = False,
        persons: ProposalFile | None = None,
        mean: Sequence[float] = (114.75, 114.75, 114.75),
        std: Sequence[float] = (57.375, 57.375, 57.375),
        seed: int | None = None,
    ) -> None:
        super().__init__(non_blocking=True)
        self.mixer = mixer
        self.mask = mask
        self.keep_originals = keep_originals
        self.persons = persons
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1, 1), persistent=False)
        self.seed = torch.initial_seed() if seed is None else seed
        self._batch_number: int | None = None  # of the next batch, once training has begun

    def forward(self, data: Sequence[Clip | PendingClip], training: bool = False) -> dict[str, PreparedBatch]:
        """Return the arguments of the model's `forward`, as mmengine hands them on."""
        return {"inputs": self.prepare(data, training)}

    def prepare(self, data: Sequence[Clip | PendingClip], training: bool = False) -> PreparedBatch:
        """Return the batch of these clips."""
        # Clip by clip: a stack of pinned clips would not be pinned, and its copy would be waited for.
        clips = [clip.pixels_to(self.device) for clip in data]
        if training and self.persons is not None:
            clips = [with_persons(clip, self.persons) for clip in clips]
        batch = ClipBatch.from_clips(clips).to(self.device)
        if training:
            if self.keep_originals:
                batch = dataclasses.replace(batch, originals=batch.clips)
            batch = self.mixer(batch, self._next_generator()) if self.mixer else add_provenance(batch, self.mask)
        originals = None if batch.originals is None else self.normalize(batch.originals)
        return PreparedBatch(dataclasses.replace(batch, clips=self.normalize(batch.clips), originals=originals), clips)

    def normalize(self, clips: torch.Tensor) -> torch.Tensor:
        """Return uint8 clips (B, C, T, H, W) as floats of zero mean and unit variance."""
        return (clips.float() - self.mean) / self.std

    def generator_of(self, step: int, purpose: Purpose) -> torch.Generator:
        """Return the source of chance of one batch of a training, for one purpose."""
        return torch.Generator().manual_seed(int(step_entropy(self.seed, step, purpose).generate_state(1)[0]))

    def _next_generator(self) -> torch.Generator:
        """Return the mixer's generator for the next batch."""
        if self._batch_number is None:
            self._batch_number = MessageHub.get_current_instance().get_info("iter", 0)  # not 0 if it is resumed
        self._batch_number += 1
        return self.generator_of(self._batch_number - 1, "mixing")
