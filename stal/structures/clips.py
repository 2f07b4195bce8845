"""Frames on their way to the network, with the actors in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float32, Int64, Shaped
from torch import Tensor

from stal.errors import ShapeError
from stal.structures.describe import ShapeRepr, check_masks


@dataclass(frozen=True, eq=False, repr=False)
class Clip(ShapeRepr):
    """T frames of one video, ready to be batched, with the actors seen in them.

    Attributes:
        frames: (C, T, H, W) uint8 RGB.
        boxes: (N, T, 4) float32, xyxy half-open pixels of the clip, cut to the clip; zero where not `valid`.
        valid: (N, T) bool, where actor n has a box on frame t.
        labels: (N,) int64 classes.
        actor_masks: (N, T, H, W) bool, True on the actor's silhouette; None if the data set has none.
        video_key: the video it was taken from.
        frame_indices: (T,) int64, 0-based frames of the video, for every frame of the clip. At the ends of a video a
            frame is repeated rather than one invented.
        to_video: (4,) float32 (scale_x, scale_y, shift_x, shift_y): x_video = scale_x * x_clip + shift_x.
        video_size: (height, width) of the video.
        scene: number of the video's scene, in the order of `Annotations.scenes`; -1 where unknown.
        video_labels: (L,) int64 classes that the video shows, whoever does them (`Video.label_set`); None if unknown.
    """

    frames: Shaped[Tensor, "C T H W"]
    boxes: Float32[Tensor, "N T 4"]
    valid: Bool[Tensor, "N T"]
    labels: Int64[Tensor, " N"]
    actor_masks: Bool[Tensor, "N T H W"] | None
    video_key: str
    frame_indices: Int64[Tensor, " T"]
    to_video: Float32[Tensor, " 4"]
    video_size: tuple[int, int]
    scene: int = -1
    video_labels: Int64[Tensor, " L"] | None = None

    def __post_init__(self) -> None:
        _, t, h, w = self.frames.shape
        n = len(self.labels)
        if self.boxes.shape != (n, t, 4) or self.valid.shape != (n, t):
            raise ShapeError(
                f"clip of {self.video_key}: boxes {tuple(self.boxes.shape)} and valid {tuple(self.valid.shape)} must "
                f"be ({n}, {t}, 4) and ({n}, {t}) for {n} labels and {t} frames"
            )
        if self.actor_masks is not None:
            check_masks(self.actor_masks, (n, t, h, w), f"clip of {self.video_key}")
        if self.frame_indices.shape != (t,) or self.to_video.shape != (4,):
            raise ShapeError(
                f"clip of {self.video_key}: frame_indices {tuple(self.frame_indices.shape)} and to_video "
                f"{tuple(self.to_video.shape)} must be ({t},) and (4,) for {t} frames"
            )

    def pixels_to(self, device: torch.device | str) -> Clip:
        """Return the clip with frames and silhouettes on `device`; the rest is small, and stays where it is."""
        masks = self.actor_masks
        return dataclasses.replace(
            self,
            frames=self.frames.to(device, non_blocking=True),
            actor_masks=None if masks is None else masks.to(device, non_blocking=True),
        )

    def pin_memory(self) -> Clip:
        """Return the clip in memory from which a GPU copies while the CPU goes on, as a DataLoader asks for it."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        pinned: dict[str, Any] = {name: v.pin_memory() for name, v in values.items() if isinstance(v, Tensor)}
        return dataclasses.replace(self, **pinned)


@dataclass(frozen=True, eq=False, repr=False)
class ClipBatch(ShapeRepr):
    """B clips of one size on one device, with the actors in them and, once known, where every voxel came from.

    Attributes:
        clips: (B, C, T, H, W) uint8 or float RGB.
        boxes: B tensors (N_b, T, 4) float32, xyxy half-open pixels of the clip.
        valid: B tensors (N_b, T) bool.
        labels: B tensors (N_b,) int64.
        actor_masks: B tensors (N_b, T, H, W) bool, or None where silhouettes are unknown.
        provenance: (B, T, H, W) int16: 0 = background of the clip, k >= 1 = actor k - 1 of the clip (a row of its
            boxes). None before it is made.
        sources: B tensors (N_b,) int64: the clip of the batch that each actor was taken from; None before mixing.
        voxel_sources: (B, T, H, W) int16: the clip of the batch that each voxel was taken from; None before mixing.
        label_weights: B tensors (N_b,) float32 in [0, 1]: the target of an actor's own class, which a mixer may lower;
            None for 1.
        scenes: (B,) int64: number of the scene that a clip shows, -1 where unknown; None if all are unknown.
        video_labels: B tensors (L_b,) int64: the classes of the video that clip b was taken from, before anything was
            mixed into it: those of what has b as its source; None where unknown.
        originals: (B, C, T, H, W) the clips before they were mixed; None unless they were asked for.
    """

    clips: Shaped[Tensor, "B C T H W"]
    boxes: tuple[Float32[Tensor, "_ T 4"], ...]
    valid: tuple[Bool[Tensor, "_ T"], ...]
    labels: tuple[Int64[Tensor, " _"], ...]
    actor_masks: tuple[Bool[Tensor, "_ T H W"], ...] | None = None
    provenance: Shaped[Tensor, "B T H W"] | None = None
    sources: tuple[Int64[Tensor, " _"], ...] | None = None
    voxel_sources: Shaped[Tensor, "B T H W"] | None = None
    label_weights: tuple[Float32[Tensor, " _"], ...] | None = None
    scenes: Int64[Tensor, " B"] | None = None
    video_labels: tuple[Int64[Tensor, " _"], ...] | None = None
    originals: Shaped[Tensor, "B C T H W"] | None = None

    def __post_init__(self) -> None:
        b, _, t, h, w = self.clips.shape
        for name in ("boxes", "valid", "labels", "actor_masks", "sources", "label_weights", "scenes", "video_labels"):
            value = getattr(self, name)
            if value is not None and len(value) != b:
                raise ShapeError(f"clip batch: {name} has {len(value)} entries for {b} clips")
        for i in range(b):
            n = len(self.labels[i])
            if self.boxes[i].shape != (n, t, 4) or self.valid[i].shape != (n, t):
                raise ShapeError(
                    f"clip batch: clip {i} has {n} labels and {t} frames, but boxes {tuple(self.boxes[i].shape)} and "
                    f"valid {tuple(self.valid[i].shape)}"
                )
            if self.actor_masks is not None:
                check_masks(self.actor_masks[i], (n, t, h, w), f"clip batch: clip {i}")
            for name in ("sources", "label_weights"):
                value = getattr(self, name)
                if value is not None and value[i].shape != (n,):
                    raise ShapeError(
                        f"clip batch: clip {i} has {n} labels, but {name} {tuple(value[i].shape)}: an actor has one"
                    )
        for name in ("provenance", "voxel_sources"):
            value = getattr(self, name)
            if value is not None and value.shape != (b, t, h, w):
                raise ShapeError(f"clip batch: {name} {tuple(value.shape)} != {(b, t, h, w)}")
        if self.originals is not None and self.originals.shape != self.clips.shape:
            raise ShapeError(f"clip batch: originals {tuple(self.originals.shape)} != {tuple(self.clips.shape)}")

    def __len__(self) -> int:
        return len(self.clips)

    @classmethod
    def from_clips(cls, clips: Sequence[Clip]) -> ClipBatch:
        """Stack clips of one size; silhouettes are kept if every clip that has actors has them."""
        sizes = {tuple(clip.frames.shape) for clip in clips}
        if len(sizes) != 1:
            raise ShapeError(f"clips of one size are stacked to a batch; the {len(clips)} clips have {sorted(sizes)}")
        masks = [
            clip.frames.new_zeros((0, *clip.frames.shape[1:]), dtype=torch.bool)
            if clip.actor_masks is None and len(clip.labels) == 0
            else clip.actor_masks
            for clip in clips
        ]
        video_labels = [clip.video_labels for clip in clips]
        return cls(
            clips=torch.stack([clip.frames for clip in clips]),
            boxes=tuple(clip.boxes for clip in clips),
            valid=tuple(clip.valid for clip in clips),
            labels=tuple(clip.labels for clip in clips),
            actor_masks=None if any(m is None for m in masks) else tuple(masks),  # type: ignore[arg-type]
            scenes=torch.tensor([clip.scene for clip in clips]),
            video_labels=None if any(v is None for v in video_labels) else tuple(video_labels),  # type: ignore[arg-type]
        )

    def to(self, device: torch.device | str) -> ClipBatch:
        """Return the batch with every tensor on `device`."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            return None if value is None else tuple(v.to(device, non_blocking=True) for v in value)

        return ClipBatch(**{f.name: move(getattr(self, f.name)) for f in dataclasses.fields(self)})
