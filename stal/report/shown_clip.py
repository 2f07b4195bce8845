"""A detection as the page shows it: a stretch of its video, with the gradient tube of each detector."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from stal.report.clip_video import clip_size, encode_rows, row_height
from stal.structures import Tube, Video
from stal.visualize.tube_space import box_lines, tube_surfaces
from stal.visualize.tube_view import TubeView

DEFAULT_FPS = 25.0
"""Of videos whose annotation does not say."""

_MARGIN_FRAMES = 8  # before the first and behind the last box
_MAX_FRAMES = 240


@dataclass(frozen=True)
class SideView:
    """What one detector makes of a clip.

    Attributes:
        detector: its name.
        view: the gradient tube.
        score: of the tube that this detector found; None if it found none, and the boxes are another's.
        note: what is to be said of it.
    """

    detector: str
    view: TubeView
    score: float | None
    note: str


@dataclass(frozen=True)
class ShownClip:
    """One detection on the page.

    Attributes:
        kind: what it is an example of.
        action: class of the detection that was chosen.
        chosen_of: name of the detector that it was chosen of.
        why: in what it is an example.
        video: where it is.
        classes: names of the classes.
        sides: of each detector.
    """

    kind: str
    action: str
    chosen_of: str
    why: str
    video: Video
    classes: tuple[str, ...]
    sides: tuple[SideView, ...]

    @property
    def frames(self) -> range:
        """Return the frames that are shown: those of the boxes, and a few around them."""
        has_box = np.any([side.view.has_box for side in self.sides], axis=0)
        first, last = np.flatnonzero(has_box)[[0, -1]].tolist()
        start = max(0, first - _MARGIN_FRAMES)
        return range(start, min(self.video.num_frames, last + 1 + _MARGIN_FRAMES, start + _MAX_FRAMES))

    @property
    def scale(self) -> float:
        """Return how large the clip is, as a part of the video's size."""
        return clip_size(self.video.height, self.video.width)[1] / self.video.width

    def data(self, frames: UInt8[np.ndarray, "T H W 3"]) -> dict[str, Any]:
        """Return what the page's scripts are told.

        Args:
            frames: the pixels of `self.frames`.
        """
        shown = slice(self.frames.start, self.frames.stop)
        fps = self.video.fps or DEFAULT_FPS
        film = encode_rows(frames, [side.view.heat[shown] for side in self.sides], fps)
        height, width = clip_size(self.video.height, self.video.width)
        return {
            "film": f"data:video/mp4;base64,{base64.b64encode(film).decode()}",
            "fps": fps,
            "firstFrame": self.frames.start,
            "numFrames": len(self.frames),
            "videoFrames": self.video.num_frames,
            "width": width,
            "height": height,
            "rowHeight": row_height(height),
            "truth": [self._truth(tube) for tube in self.video.tubes],
            "sides": [self._side(side) for side in self.sides],
        }

    def _truth(self, tube: Tube) -> dict[str, Any]:
        boxes, valid = tube.boxes_at(np.arange(self.frames.start, self.frames.stop))
        return {"action": self.classes[tube.label], "boxes": self._boxes(np.where(valid[:, None], boxes, 0))}

    def _side(self, side: SideView) -> dict[str, Any]:
        shown, tube = slice(self.frames.start, self.frames.stop), side.view.tube
        return {
            "action": side.view.action,
            "isDetected": side.score is not None,
            "boxes": self._boxes(tube.boxes[shown]),
            "scores": _numbers(tube.scores[shown], 3),
            "insideShares": _numbers(tube.inside_shares[shown], 4),
            "volumeShares": _numbers(tube.volume_shares[shown], 4),
            "space": _space(side.view),
        }

    def _boxes(self, boxes: Float32[np.ndarray, "T 4"]) -> list[list[float] | None]:
        """Return boxes in pixels of the clip; None where there is no area."""
        scaled = np.round(boxes.astype(np.float64) * self.scale, 1).tolist()
        return [box if box[2] > box[0] and box[3] > box[1] else None for box in scaled]


def _space(view: TubeView) -> dict[str, Any]:
    """Return the gradient tube as a body in space and time: (t, x, y) as parts of the video, 16 bits each."""
    height, width = view.video_size
    size = np.array([view.num_frames, width, height], np.float64)
    surfaces = tube_surfaces(view)
    return {
        "surfaces": [
            {
                "points": _packed(surface.points / size * 65535, "<u2"),
                "triangles": _packed(surface.triangles, "<u2"),
                "positive": surface.positive,
            }
            for surface in surfaces
        ],
        "lines": [_packed(line / size * 65535, "<u2") for line in box_lines(view)],
    }


def _packed(values: np.ndarray, kind: str) -> str:
    limits = np.iinfo(kind)
    return base64.b64encode(np.round(values).clip(limits.min, limits.max).astype(kind).tobytes()).decode()


def _numbers(values: Sequence[float] | np.ndarray, digits: int) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), digits) for value in values]
