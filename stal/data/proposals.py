"""Actor proposals from a file, in place of the detector's own: any person detector's boxes."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from stal.data.detection_files import read_detections
from stal.errors import AnnotationError
from stal.structures import Clip


class ProposalFile:
    """Boxes by video and frame, from a detections file (see `read_detections`); classes and scores do not matter.

    Args:
        path: the .npz file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._detections = read_detections(path).detections

    def __contains__(self, video_key: object) -> bool:
        return video_key in self._detections

    def keyframe_boxes(self, clip: Clip) -> Float32[Tensor, "P 4"]:
        """Return the proposals on a clip's keyframe, see `boxes_on`."""
        return self.boxes_on(clip, len(clip.frame_indices) // 2)

    def boxes_on(self, clip: Clip, frame: int) -> Float32[Tensor, "P 4"]:
        """Return the proposals on a frame of a clip, xyxy half-open pixels of the clip, cut to it.

        Args:
            clip: of a video that the file lists.
            frame: of the clip, from 0.

        Raises:
            AnnotationError: the file does not know the clip's video.
        """
        if clip.video_key not in self._detections:
            raise AnnotationError(
                f"proposals {self.path} do not list video {clip.video_key}; a video without proposals is listed too"
            )
        of_video = self._detections[clip.video_key]
        of_frame = np.flatnonzero(of_video.frames == int(clip.frame_indices[frame]))
        boxes = torch.from_numpy(of_video.boxes[of_frame])
        return to_clip_boxes(boxes, clip.to_video, (clip.frames.shape[2], clip.frames.shape[3]))


def to_clip_boxes(
    boxes_video: Float32[Tensor, "P 4"], to_video: Float32[Tensor, " 4"], clip_size: tuple[int, int]
) -> Float32[Tensor, "_ 4"]:
    """Bring boxes of a video to a clip of it, cut them to the clip, and leave out those of which nothing is left.

    Args:
        boxes_video: xyxy half-open pixels of the video.
        to_video: of the clip, see `Clip`.
        clip_size: (height, width) of the clip in pixels.
    """
    scale, shift = to_video[:2], to_video[2:]
    corners = (boxes_video.view(-1, 2, 2) - shift) / scale
    height, width = clip_size
    limit = torch.tensor([width, height], dtype=torch.float32)
    first = corners.amin(1).clamp(min=0).minimum(limit)  # a flipped clip swaps the corners
    last = corners.amax(1).clamp(min=0).minimum(limit)
    boxes = torch.cat([first, last], dim=1)
    return boxes[(last > first).all(1)]
