"""What is known of videos: tubes, videos, data sets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from stal.errors import AnnotationError, ShapeError
from stal.structures.describe import ShapeRepr, check_boxes


@dataclass(frozen=True, eq=False, repr=False)
class Tube(ShapeRepr):
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
        check_boxes(self.boxes, name)

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
class Video(ShapeRepr):
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
        keypoints_path: the joints of the persons in it, one of the files that `read_keypoints` takes; None if there are
            none.
        labels: classes that the video is known to show, whoever does them and wherever; those of its tubes need not
            be named again, see `label_set`.
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
    labels: tuple[int, ...] = ()
    keypoints_path: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "tubes", tuple(self.tubes))
        object.__setattr__(self, "labels", tuple(self.labels))
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

    @property
    def label_set(self) -> tuple[int, ...]:
        """The classes that the video shows, by its own labels and by those of its tubes, rising."""
        return tuple(sorted({*self.labels, *(tube.label for tube in self.tubes)}))


@dataclass(frozen=True, eq=False, repr=False)
class Annotations(ShapeRepr):
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
            named = [(tube.label, f"tube {tube.id} has") for tube in video.tubes]
            for label, who in [*named, *((label, "it is labelled with") for label in video.labels)]:
                if not 0 <= label < len(self.classes):
                    raise AnnotationError(
                        f"video {video.key}: {who} class {label}, but there are {len(self.classes)} "
                        f"classes (0 to {len(self.classes) - 1}): {', '.join(self.classes)}; are its classes 1-based?"
                    )

    @property
    def scenes(self) -> tuple[str, ...]:
        """The names of the scenes of the videos, sorted: the number of a scene is its place here."""
        return tuple(sorted({video.scene for video in self.videos if video.scene is not None}))

    def of_split(self, split: str) -> Annotations:
        """Return the videos of one split; raise with the splits that there are if it has none."""
        videos = tuple(video for video in self.videos if video.split == split)
        if not videos:
            splits = sorted({video.split for video in self.videos})
            raise AnnotationError(f"no video has split {split!r}; the splits are {splits}")
        return dataclasses.replace(self, videos=videos)
