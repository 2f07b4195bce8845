"""Many tubes as a few flat arrays, which is how a detections file holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from stal.data.npz_arrays import NpzArrays
from stal.data.prediction_checks import (
    Listing,
    Problem,
    box_problems,
    frame_problems,
    name_problems,
    order_problems,
    score_problems,
    start_problems,
)
from stal.errors import AnnotationError
from stal.structures import Tube


@dataclass(frozen=True, eq=False)
class TubeArrays:
    """G tubes with R boxes in all, as they are stored.

    Attributes:
        prefix: `gt` or `tube`: how the names of the arrays begin.
        videos, classes, starts: (G,) row of the video, class and first frame.
        offset: (G + 1,) tube g has the boxes offset[g] to offset[g + 1].
        frames: (R,) frame of each box; None if every tube has consecutive ones.
        boxes: (R, 4) float32.
        scores: (G,) confidence; None for annotated tubes.
    """

    prefix: str
    videos: Int64[np.ndarray, " G"]
    classes: Int64[np.ndarray, " G"]
    starts: Int64[np.ndarray, " G"]
    offset: Int64[np.ndarray, " _"]
    frames: Int64[np.ndarray, " R"] | None
    boxes: Float32[np.ndarray, "R 4"]
    scores: Float[np.ndarray, " G"] | None

    def __len__(self) -> int:
        return len(self.videos)

    def problems(self, listing: Listing) -> list[Problem]:
        """Return what may be wrong with the tubes; an item is a tube."""
        lengths = np.diff(self.offset)
        tube_of_box = np.repeat(np.arange(len(self)), lengths)
        problems = name_problems(self.prefix, self.videos, self.classes, listing)
        if self.scores is not None:
            problems += score_problems(f"{self.prefix}_score", self.scores)
        problems += box_problems(f"{self.prefix}_boxes", self.boxes, tube_of_box)
        if self.frames is None:
            return problems + start_problems(f"{self.prefix}_start", self.starts, lengths, self.videos, listing)
        first = self.frames[self.offset[:-1]]
        name = f"{self.prefix}_frame"
        return [
            *problems,
            *frame_problems(name, self.frames, self.videos[tube_of_box], listing, tube_of_box),
            *order_problems(name, self.frames, tube_of_box),
            Problem(
                f"{self.prefix}_start",
                self.starts != first,
                "start is not the first frame",
                lambda row: f"start {self.starts[row]}, but {name} begins with {first[row]}",
                np.arange(len(self)),
            ),
        ]

    def to_tubes(self, valid: Bool[np.ndarray, " G"], listing: Listing) -> dict[str, list[Tube]]:
        """Return the `valid` tubes of every annotated video in their order, numbered in their video."""
        keys = [video.key for video in listing.annotations.videos]
        tubes: dict[str, list[Tube]] = {key: [] for key in keys}
        positions, labels = listing.video_positions(self.videos), listing.class_positions(self.classes)
        for row in np.flatnonzero(valid):
            first, end = self.offset[row : row + 2]
            frames = np.arange(end - first) + self.starts[row] if self.frames is None else self.frames[first:end]
            of_video = tubes[keys[positions[row]]]
            of_video.append(
                Tube(
                    label=int(labels[row]),
                    frames=frames - listing.first_frame,
                    boxes=self.boxes[first:end],
                    id=len(of_video),
                    score=None if self.scores is None else float(self.scores[row]),
                )
            )
        return tubes


def tube_array_names(prefix: Literal["gt", "tube"]) -> tuple[str, ...]:
    """Return the names of the arrays that tubes cannot do without."""
    names = ("video", "class", "start", "offset", "boxes", *(("score",) if prefix == "tube" else ()))
    return tuple(f"{prefix}_{name}" for name in names)


def read_tube_arrays(prefix: Literal["gt", "tube"], arrays: NpzArrays) -> TubeArrays:
    """Take the arrays of tubes from a file.

    Raises:
        AnnotationError: an array is missing or of the wrong shape or type, or the offsets are impossible.
    """
    arrays.require(tube_array_names(prefix))
    videos = arrays.rows(f"{prefix}_video", None, "videos")
    boxes = arrays.boxes(f"{prefix}_boxes")
    frames = f"{prefix}_frame"
    tubes = TubeArrays(
        prefix=prefix,
        videos=videos,
        classes=arrays.rows(f"{prefix}_class", len(videos), "labels"),
        starts=arrays.integers(f"{prefix}_start", (len(videos),)),
        offset=arrays.integers(f"{prefix}_offset", (len(videos) + 1,)),
        frames=arrays.integers(frames, (len(boxes),)) if frames in arrays else None,
        boxes=boxes,
        scores=arrays.numbers(f"{prefix}_score", (len(videos),)) if prefix == "tube" else None,
    )
    if fault := _fault_of_offset(tubes.offset, len(boxes), f"{prefix}_boxes"):
        raise AnnotationError(
            f"{arrays.path}: {prefix}_offset, {fault}. Tube g has the rows offset[g] to offset[g + 1] of {prefix}_boxes"
        )
    return tubes


def _fault_of_offset(offset: Int64[np.ndarray, " _"], num_boxes: int, boxes: str) -> str | None:
    """Return what is wrong with offsets, which rise from 0 to the number of boxes."""
    flat = offset[1:] <= offset[:-1]
    if offset[0] != 0:
        return f"row 0: {offset[0]}; the first offset is 0"
    if flat.any():
        row = int(flat.argmax()) + 1
        return (
            f"row {row}: {offset[row]} after {offset[row - 1]}; {int(flat.sum())} of {len(flat)} tubes have no boxes, "
            "but offsets rise"
        )
    if offset[-1] != num_boxes:
        return f"row {len(offset) - 1}: {offset[-1]}; the last offset is the number of {boxes}, {num_boxes}"
    return None


def flatten_tubes(prefix: Literal["gt", "tube"], tubes: Sequence[tuple[int, Tube]]) -> dict[str, np.ndarray]:
    """Return the arrays, by name, of pairs of the row of a video and a tube; scores are left out."""
    no_frames, no_boxes = np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
    return {
        f"{prefix}_video": np.array([row for row, _ in tubes], np.int64),
        f"{prefix}_class": np.array([tube.label for _, tube in tubes], np.int64),
        f"{prefix}_start": np.array([tube.frames[0] for _, tube in tubes], np.int64),
        f"{prefix}_offset": np.cumsum([0, *(len(tube) for _, tube in tubes)]),
        f"{prefix}_frame": np.concatenate([no_frames, *(tube.frames for _, tube in tubes)]),
        f"{prefix}_boxes": np.concatenate([no_boxes, *(tube.boxes for _, tube in tubes)]),
    }
