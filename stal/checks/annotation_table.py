"""Annotations as one flat table that holds what the structures of stal refuse, so that it can be counted."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from stal.structures import Annotations, Tube, Video

UNKNOWN_LABEL = -1


@dataclass(frozen=True)
class VideoEntry:
    """A video as it is annotated; its fields are those of `Video`, with any value."""

    key: str
    path: Path
    num_frames: int
    height: int
    width: int
    fps: float | None = None
    split: str = ""
    masks_path: Path | None = None
    scene: str | None = None
    labels: tuple[int, ...] = ()
    keypoints_path: Path | None = None


@dataclass(frozen=True, eq=False)
class AnnotationTable:
    """All boxes of a data set: R rows, of G tubes, of V videos.

    Attributes:
        classes: names of the classes, in the order of their labels.
        videos: (V) the videos.
        tube_videos: (G,) video of each tube, never falling.
        tube_ids: (G,) number of each tube, unique in its video if all is well.
        tube_labels: (G,) class of each tube, `UNKNOWN_LABEL` where it is none of `classes`.
        label_names: (G) the class as it is written.
        tube_of_row: (R,) tube of each row, never falling.
        frames: (R,) frame of each row, in the order of the file.
        boxes: (R, 4) box of each row, as finite xyxy half-open pixels if all is well.
    """

    classes: tuple[str, ...]
    videos: tuple[VideoEntry, ...]
    tube_videos: Int64[np.ndarray, " G"]
    tube_ids: Int64[np.ndarray, " G"]
    tube_labels: Int64[np.ndarray, " G"]
    label_names: tuple[str, ...]
    tube_of_row: Int64[np.ndarray, " R"]
    frames: Int64[np.ndarray, " R"]
    boxes: Float32[np.ndarray, "R 4"]

    @cached_property
    def video_of_row(self) -> Int64[np.ndarray, " R"]:
        """Return the video of each row."""
        return self.tube_videos[self.tube_of_row]

    @cached_property
    def num_frames(self) -> Int64[np.ndarray, " V"]:
        """Return the annotated length of each video."""
        return np.array([video.num_frames for video in self.videos], np.int64)

    @cached_property
    def sizes(self) -> Int64[np.ndarray, "V 2"]:
        """Return width and height of each video, in the order of x and y."""
        return np.array([(video.width, video.height) for video in self.videos], np.int64).reshape(-1, 2)

    @cached_property
    def is_finite(self) -> Bool[np.ndarray, " R"]:
        """Return whether the coordinates of each box are numbers, and not infinite."""
        return np.asarray(np.isfinite(self.boxes).all(axis=1))

    @cached_property
    def follows(self) -> Bool[np.ndarray, " R"]:
        """Return whether each row is of the same tube as the row before it."""
        return np.diff(self.tube_of_row, prepend=-1) == 0

    @cached_property
    def frame_steps(self) -> Int64[np.ndarray, " R"]:
        """Return by how much each frame is more than that of the row before it; of use where the row `follows`."""
        return np.diff(self.frames, prepend=0)

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits, `train` first."""
        return tuple(sorted({video.split for video in self.videos}, key=lambda split: (split != "train", split)))

    def num_tubes_of(self) -> Int64[np.ndarray, " V"]:
        """Return the number of tubes of each video."""
        return np.bincount(self.tube_videos, minlength=len(self.videos))

    def split_of_tubes(self) -> Int64[np.ndarray, " G"]:
        """Return the split of each tube, as a position in `splits`."""
        number = {split: i for i, split in enumerate(self.splits)}
        return np.array([number[video.split] for video in self.videos], np.int64)[self.tube_videos]

    def to_annotations(self) -> Annotations:
        """Return the structures.

        Raises:
            StalError: the values are not those of valid annotations.
        """
        ends = np.searchsorted(self.tube_of_row, np.arange(len(self.tube_videos) + 1))
        tubes: list[list[Tube]] = [[] for _ in self.videos]
        for g, (video, label, number) in enumerate(
            zip(self.tube_videos.tolist(), self.tube_labels.tolist(), self.tube_ids.tolist(), strict=True)
        ):
            rows = slice(ends[g], ends[g + 1])
            tubes[video].append(Tube(label=label, frames=self.frames[rows], boxes=self.boxes[rows], id=number))
        videos = (Video(**vars(entry), tubes=tuple(own)) for entry, own in zip(self.videos, tubes, strict=True))
        return Annotations(self.classes, tuple(videos))


def table_of(annotations: Annotations) -> AnnotationTable:
    """Return the table of valid annotations."""
    tubes = [(v, tube) for v, video in enumerate(annotations.videos) for tube in video.tubes]
    names = VideoEntry.__dataclass_fields__
    return AnnotationTable(
        classes=annotations.classes,
        videos=tuple(VideoEntry(**{name: getattr(video, name) for name in names}) for video in annotations.videos),
        tube_videos=np.array([v for v, _ in tubes], np.int64),
        tube_ids=np.array([tube.id for _, tube in tubes], np.int64),
        tube_labels=np.array([tube.label for _, tube in tubes], np.int64),
        label_names=tuple(annotations.classes[tube.label] for _, tube in tubes),
        tube_of_row=np.repeat(np.arange(len(tubes)), [len(tube) for _, tube in tubes]).astype(np.int64),
        frames=np.concatenate([np.zeros(0, np.int64), *(tube.frames for _, tube in tubes)]),
        boxes=np.concatenate([np.zeros((0, 4), np.float32), *(tube.boxes for _, tube in tubes)]),
    )
