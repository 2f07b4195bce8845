"""A gradient tube as people are to see it: what is shown of it, and what has to be said beside it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64

from stal.attribution.video_tube import VideoTube
from stal.errors import ShapeError

_NAMES = {
    "input_gradient": "input gradient",
    "gradient_x_input": "gradient x input",
    "smoothgrad": "SmoothGrad",
    "integrated_gradients": "integrated gradients",
    "grad_cam_slow": "Grad-CAM of the slow pathway",
    "grad_cam_fast": "Grad-CAM of the fast pathway",
    "occlusion": "occlusion",
}


@dataclass(frozen=True)
class TubeView:
    """A gradient tube, with what its pictures say.

    Attributes:
        tube: the gradient tube of a whole video.
        action: name of the tube's class.
        origin: what the tube is, in a few words: `surest of 5 detections`, `ground truth`.
        video_size: (height, width) of the video.
        fps: frames per second of the video.
        signed: show signed values; False for magnitudes.
    """

    tube: VideoTube
    action: str
    origin: str
    video_size: tuple[int, int]
    fps: float
    signed: bool = False

    def __post_init__(self) -> None:
        if min(*self.video_size, self.fps) <= 0:
            raise ShapeError(
                f"video {self.tube.video_key}: size {self.video_size} and {self.fps} frames per second must be positive"
            )

    @property
    def heat(self) -> Float32[np.ndarray, "T h w"]:
        """What is shown: values in [-1, 1] if signed, else in [0, 1]."""
        return self.tube.volume if self.signed else self.tube.magnitude

    @property
    def num_frames(self) -> int:
        """Length of the video."""
        return len(self.tube.boxes)

    @cached_property
    def has_box(self) -> Bool[np.ndarray, " T"]:
        """Whether the tube has a box on a frame."""
        return np.all(self.tube.boxes[:, 2:] > self.tube.boxes[:, :2], axis=1)

    @property
    def method(self) -> str:
        """The method in words, and whether its sign is shown."""
        pathway = "" if self.tube.pathway == "both" else f" through the {self.tube.pathway} pathway"
        return f"{_NAMES.get(self.tube.method, self.tube.method)}{pathway}, {'signed' if self.signed else 'absolute'}"

    @property
    def scale(self) -> str:
        """What the colours mean."""
        return f"{'-1 to 1' if self.signed else '0 to 1'}; 1 = largest of a clip"

    def title(self, frame: int) -> str:
        """Return what the tube is on a frame, with the score of the window that the frame lies in."""
        if not self.has_box[frame]:
            return f"{self.action}, {self.origin}: not on this frame"
        score = self.tube.scores[frame]
        return f"{self.action}{'' if np.isnan(score) else f' {score:.2f}'}, {self.origin}"

    def shares(self, frame: int) -> str:
        """Return how much of the energy of a frame's window lies in the boxes."""
        inside, volume = self.tube.inside_shares[frame], self.tube.volume_shares[frame]
        return "" if np.isnan(inside) else f"energy in box {inside:.0%}, box {volume:.0%} of clip"

    def spread_frames(self, count: int) -> list[int]:
        """Return up to `count` frames, evenly spread over those that have a box, or over all if none has."""
        frames = np.flatnonzero(self.has_box) if self.has_box.any() else np.arange(self.num_frames)
        positions: Float64[np.ndarray, " N"] = np.linspace(0, len(frames) - 1, min(count, len(frames)))
        return frames[positions.round().astype(int)].tolist()
