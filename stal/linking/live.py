"""Online linking while the video is still coming: the paths of `OnlineLinking`, a frame at a time."""

import heapq
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from stal.errors import ShapeError
from stal.linking.candidates import Candidates
from stal.linking.online import OnlineLinking
from stal.ops.boxes import pairwise_iou
from stal.structures import Detections


@dataclass(frozen=True, eq=False)
class LiveBox:
    """The box of a path on the last frame.

    Attributes:
        path: number of the path, in the order in which paths began.
        label: its class.
        box: xyxy half-open pixels of the video.
        score: mean of the path's best scores, by which it is ranked.
    """

    path: int
    label: int
    box: Float32[np.ndarray, " 4"]
    score: float


@dataclass(eq=False)
class _Path:
    """A path that may go on."""

    number: int
    frame: int
    box: Float32[np.ndarray, " 4"]
    best: list[float] = field(default_factory=list)  # a heap of the scores that rank it
    total: float = 0.0  # their sum


class LiveLinking:
    """Link the detections of frame after frame, in memory that does not grow with their number.

    Args:
        candidates: keeps the boxes that are worth linking.
        link: the rules. The paths are those that it finds in all frames at once.
    """

    def __init__(self, candidates: Candidates, link: OnlineLinking) -> None:
        self._candidates = candidates
        self._link = link
        self._paths: dict[int, list[_Path]] = {}  # of each class, in the order in which they began
        self._num_paths = 0
        self._frame = -1

    def add(self, frame: int, detections: Detections) -> list[LiveBox]:
        """Let the paths go on to the next frame, and return the boxes that they take there.

        Args:
            frame: later than the frame before.
            detections: on this frame, in any order.

        Raises:
            ShapeError: the frame is not later, or a detection is on another frame.
        """
        if frame <= self._frame or (detections.frames != frame).any():
            raise ShapeError(
                f"frame {frame} after frame {self._frame}, with detections of frames "
                f"{sorted(set(detections.frames.tolist()))[:5]}: frames come one after the other, each with its own"
            )
        self._frame = frame
        self._paths = {
            label: [path for path in paths if frame - path.frame <= self._link.max_gap + 1]
            for label, paths in self._paths.items()
        }
        boxes = self._candidates(detections)
        return [
            LiveBox(path.number, label, path.box, path.total / len(path.best))
            for label in np.unique(boxes.labels).tolist()
            for path in self._extend(self._paths.setdefault(label, []), boxes[boxes.labels == label])
        ]

    def _extend(self, paths: list[_Path], boxes: Detections) -> list[_Path]:
        """Share out boxes of one class, best first, to paths and new ones; return the paths by their boxes."""
        ranked = sorted(paths, key=lambda path: (-path.total / len(path.best), path.number))
        last_boxes = np.array([path.box for path in ranked], np.float32).reshape(-1, 4)
        overlaps = pairwise_iou(last_boxes, boxes.boxes)
        owners: dict[int, _Path] = {}
        for path, iou in zip(ranked, overlaps, strict=True):
            free = [row for row in np.flatnonzero(iou >= self._link.iou_threshold).tolist() if row not in owners]
            if free:
                owners[min(free, key=lambda row: (-boxes.scores[row], -iou[row], row))] = path
        for row in range(len(boxes)):
            if row not in owners:
                owners[row] = _Path(self._num_paths, self._frame, boxes.boxes[row])
                paths.append(owners[row])
                self._num_paths += 1
            self._take(owners[row], boxes.boxes[row], float(boxes.scores[row]))
        return [owners[row] for row in range(len(boxes))]

    def _take(self, path: _Path, box: Float32[np.ndarray, " 4"], score: float) -> None:
        path.frame, path.box = self._frame, box
        path.total += score
        if len(path.best) > self._link.max_gap:
            path.total -= heapq.heappushpop(path.best, score)
        else:
            heapq.heappush(path.best, score)
