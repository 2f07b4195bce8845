"""What happens to a batch of joints on the device before the model sees it: normalising, stacking, mixing."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from stal.data.keypoint_transforms import normalize_persons
from stal.data.transforms import PendingClip
from stal.engine.preprocessor import ClipPreprocessor, PreparedBatch
from stal.errors import ConfigError
from stal.mixing.keypoint_mix import KeypointMix, joint_provenance
from stal.structures import Clip, ClipBatch


class KeypointPreprocessor(ClipPreprocessor):
    """Bring the persons of clips to one place and size, stack clips on the device, and in training mix them.

    A batch has the points of `KeypointDataset` as its `clips` (B, 3, T, P, 17), with P places for persons, and a
    provenance of 0 where no joint is, k for one of person k - 1 of the clip.

    Args:
        mixer: joins the persons of clips; None for no mixing.
        max_persons: P in training, so that the weight of a penalty, which is of a clip of unit volume, means the same
            for all batches. Of a clip with more persons those are kept whose joints are surest. In testing all are.
        seed: as of `ClipPreprocessor`.
    """

    def __init__(self, mixer: KeypointMix | None = None, *, max_persons: int = 6, seed: int | None = None) -> None:
        super().__init__(mixer, seed=seed)
        if max_persons < 1:
            raise ConfigError(f"KeypointPreprocessor: max_persons = {max_persons} must be at least 1")
        self.max_persons = max_persons

    def prepare(self, data: Sequence[Clip | PendingClip], training: bool = False) -> PreparedBatch:
        """Return the batch of these clips."""
        clips = [clip.pixels_to(self.device) for clip in data]
        shown = [_surest(clip, self.max_persons) for clip in clips] if training else clips
        batch = _stack(shown, self.max_persons if training else None).to(self.device)
        if training and self.mixer is not None:
            batch = self.mixer(batch, self._next_generator())
        return PreparedBatch(batch, clips)


def _surest(clip: Clip, max_persons: int) -> Clip:
    """Return a clip with the persons whose joints have the highest scores in all, in their order."""
    if len(clip.labels) <= max_persons:
        return clip
    rows = clip.frames[2].sum((0, 2)).topk(max_persons).indices.sort().values
    of_boxes = rows.to(clip.boxes.device)
    return dataclasses.replace(
        clip,
        frames=clip.frames[:, :, rows],
        boxes=clip.boxes[of_boxes],
        valid=clip.valid[of_boxes],
        labels=clip.labels[of_boxes],
    )


def _stack(clips: Sequence[Clip], places: int | None) -> ClipBatch:
    """Return the batch of clips with so many places for persons; None for as many as there are in the fullest clip."""
    places = max(1, *(len(clip.labels) for clip in clips)) if places is None else places
    padded = [dataclasses.replace(clip, frames=_padded(clip.frames, places)) for clip in clips]
    batch = ClipBatch.from_clips(padded)
    num_persons = torch.tensor([len(labels) for labels in batch.labels], device=batch.clips.device)
    provenance, voxel_sources = joint_provenance(batch.clips[:, 2] > 0, num_persons)
    return dataclasses.replace(
        batch,
        provenance=provenance,
        voxel_sources=voxel_sources,
        sources=tuple(torch.full_like(labels, clip) for clip, labels in enumerate(batch.labels)),
        label_weights=tuple(torch.ones_like(labels, dtype=torch.float32) for labels in batch.labels),
    )


def _padded(points: Tensor, places: int) -> Tensor:
    """Return the normalised points with empty places behind those of the persons."""
    return F.pad(normalize_persons(points), (0, 0, 0, places - points.shape[2]))
