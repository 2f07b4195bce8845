"""The few structures that every part of stal hands to the next.

All are frozen dataclasses that validate themselves on construction and whose repr shows shapes instead of values.
Conventions: frames are 0-based; boxes are xyxy in continuous pixels, half-open (a box that covers pixels 3, 4 and 5
of a row has x1 = 3 and x2 = 6); classes are 0-based, without a background slot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, Shaped
from torch import Tensor

from stal.errors import AnnotationError, ShapeError


def describe(value: Any) -> str:
    """Return a short text for a repr: the shape and type of arrays, the length of sequences, else the value."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Tensor):
        device = "" if value.device.type == "cpu" else f"@{value.device}"
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}{device}"
    if isinstance(value, tuple | list) and len(value) <= 4 and not any(isinstance(v, tuple | list) for v in value):
        return "[" + ", ".join(describe(v) for v in value) + "]"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)


class _ShapeRepr:
    """Mixin: a repr that shows shapes."""

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={describe(getattr(self, f.name))}' for f in fields)})"


def _check_boxes(boxes: np.ndarray, owner: str) -> None:
    """Raise unless `boxes` (N, 4) are finite and have x1 < x2 and y1 < y2."""
    bad = ~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    if bad.any():
        row = int(bad.argmax())
        raise ShapeError(
            f"{owner}: box {row} is {boxes[row].tolist()}, and {int(bad.sum())} of {len(boxes)} boxes are like it: "
            "boxes are finite xyxy pixels with x1 < x2 and y1 < y2 (is it xywh, or normalised?)"
        )


def _check_masks(masks: Tensor, shape: tuple[int, ...], owner: str) -> None:
    """Raise unless silhouettes have `shape` and say True or False."""
    if masks.shape != shape or masks.dtype != torch.bool:
        raise ShapeError(f"{owner}: actor_masks {describe(masks)} must be bool{list(shape)}")


@dataclass(frozen=True, eq=False, repr=False)
class Tube(_ShapeRepr):
    """One actor doing one action: a box on every frame of `frames`.

    Attributes:
        label: class, 0-based.
        frames: (T,) int64, strictly increasing 0-based frames of the video; gaps are allowed.
        boxes: (T, 4) float32, xyxy half-open pixels of the video.
        id: number of the actor, unique in its video.
        score: confidence of a detected tube; None for an annotated one.
    """

    label: int
    frames: Int64[np.ndarray, " T"]
    boxes: Float32[np.ndarray, "T 4"]
    id: int = 0
    score: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", np.ascontiguousarray(self.frames, dtype=np.int64))
        object.__setattr__(self, "boxes", np.ascontiguousarray(self.boxes, dtype=np.float32))
        name = f"tube {self.id} (class {self.label})"
        if self.label < 0:
            raise ShapeError(f"{name}: the label is negative; classes are 0-based")
        if self.frames.ndim != 1 or self.boxes.shape != (len(self.frames), 4):
            raise ShapeError(
                f"{name}: frames {self.frames.shape} and boxes {self.boxes.shape} must be (T,) and (T, 4) of the same T"
            )
        if len(self.frames) == 0:
            raise ShapeError(f"{name}: a tube has at least one frame")
        if self.frames[0] < 0 or (np.diff(self.frames) <= 0).any():
            raise ShapeError(f"{name}: frames must be 0-based and strictly increasing, got {self.frames[:9].tolist()}")
        _check_boxes(self.boxes, name)

    def __len__(self) -> int:
        return len(self.frames)

    def boxes_at(self, frames: Shaped[np.ndarray, " F"]) -> tuple[Float32[np.ndarray, "F 4"], Bool[np.ndarray, " F"]]:
        """Return this tube's boxes at `frames` and where it has one; rows where it has none are zero."""
        frames = np.asarray(frames, dtype=np.int64)
        position = np.searchsorted(self.frames, frames).clip(max=len(self) - 1)
        valid = self.frames[position] == frames
        return np.where(valid[:, None], self.boxes[position], np.float32(0)), valid


MAX_MASKED_ID = 253
"""Largest tube id that a silhouette can name: 254 would be the value 255, which means unknown."""


@dataclass(frozen=True, eq=False, repr=False)
class Video(_ShapeRepr):
    """One annotated video of a data set.

    Attributes:
        key: name of the video, unique in its data set, such as `Biking/v_Biking_g01_c01`.
        path: the video file, or the folder of its frames.
        num_frames: annotated length; frame i of the annotation is frame i of the decoded video.
        height, width: size of a frame in pixels, the frame of reference of every box.
        fps: frames per second, None if the annotation does not say.
        tubes: the annotated tubes.
        split: `train`, `test`, or the name of another split.
        masks_path: .npz with the actors' silhouettes: `masks` (num_frames, height, width) uint8, where value v at a
            voxel means the actor with tube id v - 1 (so ids are 0 to 253), 0 no actor, 255 unknown; or a puppet mask
            of JHMDB (.mat), of the actor with tube id 0. None if the data set has no silhouettes.
        scene: name of the scene, None where unknown.
    """

    key: str
    path: Path
    num_frames: int
    height: int
    width: int
    fps: float | None = None
    tubes: tuple[Tube, ...] = ()
    split: str = ""
    masks_path: Path | None = None
    scene: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "tubes", tuple(self.tubes))
        if min(self.num_frames, self.height, self.width) <= 0:
            raise AnnotationError(
                f"video {self.key}: {self.num_frames} frames of {self.height} x {self.width}: all must be positive"
            )
        ids = [tube.id for tube in self.tubes]
        if len(set(ids)) != len(ids):
            raise AnnotationError(f"video {self.key}: tube ids {ids} are not unique")
        unnamable = [number for number in ids if not 0 <= number <= MAX_MASKED_ID]
        if self.masks_path is not None and unnamable:
            raise AnnotationError(
                f"video {self.key}: tube id {unnamable[0]} is not among 0 to {MAX_MASKED_ID}, which silhouettes "
                f"({self.masks_path}) can name; number the tubes and their silhouettes anew, or leave these out"
            )
        for tube in self.tubes:
            if tube.frames[-1] >= self.num_frames:
                raise AnnotationError(
                    f"video {self.key}: tube {tube.id} has a box on frame {tube.frames[-1]}, but the annotation gives "
                    f"the video {self.num_frames} frames (0 to {self.num_frames - 1}); are its frames 1-based?"
                )


@dataclass(frozen=True, eq=False, repr=False)
class Annotations(_ShapeRepr):
    """An annotated data set: the names of its classes, in the order of the labels, and its videos."""

    classes: tuple[str, ...]
    videos: tuple[Video, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "videos", tuple(self.videos))
        seen: set[str] = set()
        for video in self.videos:
            if video.key in seen:
                raise AnnotationError(f"video {video.key} is annotated twice")
            seen.add(video.key)
            for tube in video.tubes:
                if tube.label >= len(self.classes):
                    raise AnnotationError(
                        f"video {video.key}: tube {tube.id} has class {tube.label}, but there are {len(self.classes)} "
                        f"classes (0 to {len(self.classes) - 1}): {', '.join(self.classes)}; are its classes 1-based?"
                    )

    def of_split(self, split: str) -> Annotations:
        """Return the videos of one split; raise with the splits that there are if it has none."""
        videos = tuple(video for video in self.videos if video.split == split)
        if not videos:
            splits = sorted({video.split for video in self.videos})
            raise AnnotationError(f"no video has split {split!r}; the splits are {splits}")
        return dataclasses.replace(self, videos=videos)


@dataclass(frozen=True, eq=False, repr=False)
class Detections(_ShapeRepr):
    """Scored boxes of one video, in any order, one class each.

    Attributes:
        frames: (N,) int64, 0-based frames of the video.
        boxes: (N, 4) float32, xyxy half-open pixels of the video.
        labels: (N,) int64 classes.
        scores: (N,) float64, higher is surer.
    """

    frames: Int64[np.ndarray, " N"]
    boxes: Float32[np.ndarray, "N 4"]
    labels: Int64[np.ndarray, " N"]
    scores: Float[np.ndarray, " N"]

    def __post_init__(self) -> None:
        for name, dtype in (("frames", np.int64), ("boxes", np.float32), ("labels", np.int64), ("scores", np.float64)):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=dtype))
        n = len(self.frames)
        shapes = {name: getattr(self, name).shape for name in ("frames", "boxes", "labels", "scores")}
        if shapes != {"frames": (n,), "boxes": (n, 4), "labels": (n,), "scores": (n,)}:
            raise ShapeError(f"detections: shapes {shapes} must be (N,), (N, 4), (N,), (N,) of the same N")
        if n == 0:
            return
        if not np.isfinite(self.scores).all():
            row = int((~np.isfinite(self.scores)).argmax())
            raise ShapeError(f"detections: score {self.scores[row]} at row {row}: scores must be finite")
        if self.frames.min() < 0 or self.labels.min() < 0:
            raise ShapeError("detections: a frame or a label is negative; both are 0-based")
        _check_boxes(self.boxes, "detections")

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def empty(cls) -> Detections:
        """Return no detections."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0))

    @classmethod
    def concatenate(cls, parts: Sequence[Detections]) -> Detections:
        """Return the detections of all parts, in their order."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(cls)))

    def __getitem__(self, index: Any) -> Detections:
        """Return the rows that `index` (an array of positions or booleans, or a slice) selects."""
        return Detections(self.frames[index], self.boxes[index], self.labels[index], self.scores[index])


@dataclass(frozen=True, eq=False, repr=False)
class Clip(_ShapeRepr):
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

    def __post_init__(self) -> None:
        _, t, h, w = self.frames.shape
        n = len(self.labels)
        if self.boxes.shape != (n, t, 4) or self.valid.shape != (n, t):
            raise ShapeError(
                f"clip of {self.video_key}: boxes {tuple(self.boxes.shape)} and valid {tuple(self.valid.shape)} must "
                f"be ({n}, {t}, 4) and ({n}, {t}) for {n} labels and {t} frames"
            )
        if self.actor_masks is not None:
            _check_masks(self.actor_masks, (n, t, h, w), f"clip of {self.video_key}")
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
class ClipBatch(_ShapeRepr):
    """B clips of one size on one device, with the actors in them and, once known, where every voxel came from.

    Attributes:
        clips: (B, C, T, H, W) uint8 or float RGB; a mixer copies its values and never computes with them.
        boxes: B tensors (N_b, T, 4) float32, xyxy half-open pixels of the clip.
        valid: B tensors (N_b, T) bool.
        labels: B tensors (N_b,) int64.
        actor_masks: B tensors (N_b, T, H, W) bool, or None where silhouettes are unknown.
        provenance: (B, T, H, W) int16: 0 = background of the clip, k >= 1 = actor k - 1 of the clip (a row of its
            boxes). None before it is made.
        sources: B tensors (N_b,) int64: the clip of the batch that each actor was taken from; None before mixing.
    """

    clips: Shaped[Tensor, "B C T H W"]
    boxes: tuple[Float32[Tensor, "_ T 4"], ...]
    valid: tuple[Bool[Tensor, "_ T"], ...]
    labels: tuple[Int64[Tensor, " _"], ...]
    actor_masks: tuple[Bool[Tensor, "_ T H W"], ...] | None = None
    provenance: Shaped[Tensor, "B T H W"] | None = None
    sources: tuple[Int64[Tensor, " _"], ...] | None = None

    def __post_init__(self) -> None:
        b, _, t, h, w = self.clips.shape
        for name in ("boxes", "valid", "labels", "actor_masks", "sources"):
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
                _check_masks(self.actor_masks[i], (n, t, h, w), f"clip batch: clip {i}")
            if self.sources is not None and self.sources[i].shape != (n,):
                raise ShapeError(
                    f"clip batch: clip {i} has {n} labels, but sources {tuple(self.sources[i].shape)}: an actor has one"
                )
        if self.provenance is not None and self.provenance.shape != (b, t, h, w):
            raise ShapeError(f"clip batch: provenance {tuple(self.provenance.shape)} != {(b, t, h, w)}")

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
        return cls(
            clips=torch.stack([clip.frames for clip in clips]),
            boxes=tuple(clip.boxes for clip in clips),
            valid=tuple(clip.valid for clip in clips),
            labels=tuple(clip.labels for clip in clips),
            actor_masks=None if any(m is None for m in masks) else tuple(masks),  # type: ignore[arg-type]
        )

    def to(self, device: torch.device | str) -> ClipBatch:
        """Return the batch with every tensor on `device`."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            return None if value is None else tuple(v.to(device, non_blocking=True) for v in value)

        return ClipBatch(**{f.name: move(getattr(self, f.name)) for f in dataclasses.fields(self)})
