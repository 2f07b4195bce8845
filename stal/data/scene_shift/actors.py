"""Which pixels of a frame are its actors', and which must be painted over so that nothing is seen of them."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from stal.data.masks import UNKNOWN, read_masks
from stal.data.scene_shift.kinds import MaskKind
from stal.ops.masks import box_masks
from stal.structures import Video

# What is removed is larger than what is annotated, which cuts limbs and wheels: boxes grow on each side by a share of
# their size, and then all masks by a share of the shorter side of the video.
_BOX_SHARE = 0.1
_VIDEO_SHARE = 1 / 32
_MIN_MARGIN = 2

_MAX_SAMPLES = 40


@dataclass(frozen=True, eq=False)
class ActorMasks:
    """Where the actors of a video are.

    Attributes:
        video: the video.
        boxes: of every tube on every frame, xyxy half-open pixels of the video; zeros where it has none.
        wide_boxes: the same, grown, interpolated in the gaps of a tube, and held on the frames before its first box
            and after its last one: an actor seldom comes from nowhere.
        silhouettes: as `read_masks` gives them; None to take the boxes.
    """

    video: Video
    boxes: Float32[np.ndarray, "N T 4"]
    wide_boxes: Float32[np.ndarray, "N T 4"]
    silhouettes: UInt8[np.ndarray, "T H W"] | None = None

    def annotated(self, frame: int) -> Bool[np.ndarray, "H W"]:
        """Return the pixels that the annotation of a frame says to be of an actor."""
        return self._mask(self.boxes, frame)

    def to_remove(self, frame: int) -> Bool[np.ndarray, "H W"]:
        """Return the pixels to be painted over: those of the actors, also where a tube has no box, and a margin."""
        mask = self._mask(self.wide_boxes, frame)
        margin = max(_MIN_MARGIN, round(_VIDEO_SHARE * min(mask.shape)))
        return cv2.dilate(mask.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8)) > 0

    def span(self) -> range:
        """Return the frames from the first to the last that has a box; all of them in a video without tubes.

        On others, actors may be seen whose place is not known.
        """
        tubes = self.video.tubes
        if not tubes:
            return range(self.video.num_frames)
        return range(int(min(tube.frames[0] for tube in tubes)), int(max(tube.frames[-1] for tube in tubes)) + 1)

    def hide_scene(self) -> bool:
        """Return whether actors cover all of every sampled frame of `span`, so that nothing is known of the scene."""
        return all(self.to_remove(index).all() for index in sample_frames(self.span()))

    def _mask(self, boxes: Float32[np.ndarray, "N T 4"], frame: int) -> Bool[np.ndarray, "H W"]:
        in_box = box_masks(torch.from_numpy(boxes[:, frame]), self.video.height, self.video.width).any(dim=0).numpy()
        if self.silhouettes is None:
            return in_box
        silhouette = self.silhouettes[frame]
        return np.where(silhouette == UNKNOWN, in_box, silhouette > 0)


def sample_frames(frames: range) -> list[int]:
    """Return up to 40 of consecutive frames, spread evenly; what is known of a scene is taken from them."""
    places = np.linspace(0, len(frames) - 1, min(len(frames), _MAX_SAMPLES)).round().astype(int)
    return [frames[place] for place in places.tolist()]


def find_actors(video: Video, mask: MaskKind) -> ActorMasks:
    """Return where the actors of a video are.

    Args:
        video: with its tubes; a video without tubes has no actors in its boxes.
        mask: what to go by.

    Raises:
        DataNotFoundError: there are no silhouettes, though they were asked for.
        AnnotationError: their file is broken, or is not of the video.
    """
    every = np.arange(video.num_frames)
    boxes = np.zeros((len(video.tubes), video.num_frames, 4), np.float32)
    wide_boxes = np.zeros_like(boxes)
    for row, tube in enumerate(video.tubes):
        boxes[row, tube.frames] = tube.boxes
        growth = _BOX_SHARE * np.tile(tube.boxes[:, 2:] - tube.boxes[:, :2], 2) * (-1, -1, 1, 1)
        wide_boxes[row] = np.stack([np.interp(every, tube.frames, side) for side in (tube.boxes + growth).T], axis=1)
    return ActorMasks(video, boxes, wide_boxes, read_masks(video, every) if mask == "silhouette" else None)
