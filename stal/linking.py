"""From a detector's boxes to tubes: merge the tubelets of overlapping windows, then link boxes over time.

windows of T frames   [--- tubelets ---]
                            [--- tubelets ---]
merge_tubelets        | | | | | | | | | | | |     scored boxes, frame by frame
link_online           ==============   ======     tubes, class by class
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from stal.errors import ConfigError, ShapeError
from stal.ops.boxes import best_first, nms, pairwise_iou, suppressors
from stal.ops.tubes import interpolate_boxes
from stal.structures import Detections, Tube

NUM_TOP_SCORES = 40  # Singh et al. 2017 score a tube by so many of its best boxes, so that length does not dilute it


# Frames (T,), boxes (R, T, 4) and class scores (R, T, K) of the R tubelets that a detector saw in one window; R and T
# differ between windows, and a name would tie them.
WindowTubelets = tuple[Int64[np.ndarray, " _"], Float32[np.ndarray, "_ _ 4"], Float[np.ndarray, "_ _ _"]]


def merge_tubelets(
    windows: Sequence[WindowTubelets], *, num_frames: int, nms_iou: float = 0.5, min_score: float = 0.01
) -> Detections:
    """Merge the tubelets of all windows of one video to detections on single frames.

    On every frame and for every class, greedy suppression groups the boxes around the surest ones. A group becomes one
    detection: its box is the mean of its boxes, weighted by score; its score is the sum of the best score from each
    window over the number of windows that cover the frame, so that an actor that one window alone sees scores lower.
    Boxes without area, as tubelets have that leave the image and are cut to it, are no detections.

    Args:
        windows: for each window its frames, strictly increasing; the boxes of its tubelets on these frames, xyxy
            half-open pixels of the video; and the probability of each class for each box. Windows may differ in length,
            and those without tubelets belong here too: they cover frames.
        num_frames: length of the video.
        nms_iou: overlap from which on boxes are of one actor.
        min_score: boxes that score less for a class are no detections of it; positive.

    Returns:
        The detections, class by class.

    Raises:
        ConfigError: `min_score` is not positive.
        ShapeError: The frames of a window are outside the video or not strictly increasing.
    """
    if min_score <= 0:
        raise ConfigError(f"min_score {min_score} must be positive: scores are weights")
    for frames, _, _ in windows:
        if len(frames) and (frames[0] < 0 or frames[-1] >= num_frames or (np.diff(frames) <= 0).any()):
            raise ShapeError(f"window {frames.tolist()}: frames must strictly increase within 0 to {num_frames - 1}")
    if not windows:
        return Detections.empty()
    num_windows_at = np.bincount(np.concatenate([frames for frames, _, _ in windows]), minlength=num_frames)
    frames = np.concatenate([np.tile(frames, len(boxes)) for frames, boxes, _ in windows])
    boxes = np.concatenate([boxes.reshape(-1, 4) for _, boxes, _ in windows])
    scores = np.concatenate([scores.reshape(-1, scores.shape[2]) for _, _, scores in windows]).astype(np.float64)
    window = np.repeat(np.arange(len(windows)), [scores.shape[0] * scores.shape[1] for _, _, scores in windows])

    seen = ~_without_area(boxes)
    parts = []
    for label, of_class in enumerate(scores.T):
        rows = np.flatnonzero(seen & (of_class >= min_score))
        weights = of_class[rows]
        centers, group = np.unique(suppressors(boxes[rows], weights, frames[rows], nms_iou), return_inverse=True)
        sums = np.stack([np.bincount(group, weights * side, len(centers)) for side in boxes[rows].T], axis=1)
        best_of_window = np.zeros((len(centers), len(windows)))
        np.maximum.at(best_of_window, (group, window[rows]), weights)
        frames_of_group = frames[rows[centers]]
        means = (sums / np.bincount(group, weights, len(centers))[:, None]).astype(np.float32)
        kept = ~_without_area(means)  # the mean of slivers may be rounded to nothing
        parts.append(
            Detections(
                frames=frames_of_group[kept],
                boxes=means[kept],
                labels=np.full(kept.sum(), label),
                scores=(best_of_window.sum(axis=1) / num_windows_at[frames_of_group])[kept],
            )
        )
    return Detections.concatenate(parts)


def _without_area(boxes: Float32[np.ndarray, "N 4"]) -> Bool[np.ndarray, " N"]:
    """Return which boxes have no width or no height; NaN counts as having both, so that it is not hidden."""
    return (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])


def link_online(
    detections: Detections,
    *,
    num_frames: int,
    iou_threshold: float = 0.2,
    max_gap: int = 8,
    min_length: int = 15,
    nms_iou: float = 0.45,
    top_k: int = 10,
    min_score: float = 0.01,
    trim: float = 0.6,
) -> list[Tube]:
    """Link the detections of one video to tubes, class by class, greedily and frame by frame.

    On each frame the live paths, highest mean score first, take the surest free box that overlaps their last box
    enough; boxes that are left start paths (Singh et al., ICCV 2017). Paths are then trimmed in time: a box that
    scores less than `trim` x the score of the whole path speaks against being part of the action, one that scores more
    speaks for it, and the run of boxes with the highest sum of these differences is kept (maximum subarray, as in Peng
    and Schmid, ECCV 2016). Gaps inside a tube are filled by linear interpolation.

    Args:
        detections: scored boxes of one video, in any order: the tubes do not depend on it.
        num_frames: length of the video.
        iou_threshold: overlap that a box needs with the last box of a path to extend it.
        max_gap: a path ends when it finds no box on more than so many frames in a row.
        min_length: frames that a tube needs, or `num_frames` where the video is shorter.
        nms_iou: overlap from which on boxes of one class on one frame count as the same.
        top_k: number of boxes of a class that are linked on a frame.
        min_score: boxes that score less neither start nor extend a path.
        trim: fraction of the score of a path, in [0, 1), below which boxes speak against it; 0 keeps whole paths.

    Returns:
        The tubes, class by class, in the order in which their paths start; each is scored by the mean of its
        `NUM_TOP_SCORES` best boxes.

    Raises:
        ConfigError: `min_score` is not positive or `trim` is outside [0, 1).
        ShapeError: A detection is on a frame that the video does not have.
    """
    if min_score <= 0 or not 0 <= trim < 1:
        raise ConfigError(f"min_score {min_score} must be positive and trim {trim} in [0, 1)")
    if detections.frames.max(initial=-1) >= num_frames:
        raise ShapeError(f"a detection is on frame {detections.frames.max()} of 0 to {num_frames - 1}")
    candidates = _candidates(detections[detections.scores >= min_score], nms_iou, top_k)
    tubes: list[Tube] = []
    for label in np.unique(candidates.labels):
        of_class = candidates[candidates.labels == label]
        for rows in _link_class(of_class, iou_threshold, max_gap):
            path = of_class[rows]
            path = path[_best_run(path.scores - trim * _path_score(path.scores))]
            if path.frames[-1] - path.frames[0] + 1 >= min(min_length, num_frames):
                frames, boxes = interpolate_boxes(path.frames, path.boxes)
                tubes.append(Tube(int(label), frames, boxes, id=len(tubes), score=_path_score(path.scores)))
    return tubes


def _candidates(detections: Detections, nms_iou: float, top_k: int) -> Detections:
    """Return the `top_k` best survivors of each class on each frame, sorted by class, frame, and best first."""
    groups = detections.labels * (detections.frames.max(initial=0) + 1) + detections.frames
    kept = nms(detections.boxes, detections.scores, groups, nms_iou)
    kept = kept[best_first(detections.boxes[kept], detections.scores[kept])]
    kept = kept[np.argsort(groups[kept], kind="stable")]
    place_in_group = np.arange(len(kept)) - np.searchsorted(groups[kept], groups[kept])
    return detections[kept[place_in_group < top_k]]


@dataclass
class _Path:
    """Rows of the boxes that were linked so far, and the sum of their scores."""

    rows: list[int]
    total: float

    @property
    def mean_score(self) -> float:
        return self.total / len(self.rows)


def _link_class(boxes: Detections, iou_threshold: float, max_gap: int) -> list[list[int]]:
    """Link the boxes of one class, sorted by frame and best first; return the rows of each path."""
    paths: list[_Path] = []
    live: list[_Path] = []
    starts = np.flatnonzero(np.diff(boxes.frames, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(boxes)], strict=True):
        live = [path for path in live if boxes.frames[start] - boxes.frames[path.rows[-1]] <= max_gap + 1]
        live.sort(key=lambda path: path.mean_score, reverse=True)
        last_boxes = boxes.boxes[[path.rows[-1] for path in live]]
        close = pairwise_iou(last_boxes, boxes.boxes[start:end]) >= iou_threshold
        for path, row in _take_best(close):
            live[path].rows.append(int(start) + row)
            live[path].total += boxes.scores[start + row]
        taken = {path.rows[-1] for path in live}
        new = [_Path([row], float(boxes.scores[row])) for row in range(start, end) if row not in taken]
        paths += new
        live += new
    return [path.rows for path in paths]


def _take_best(close: Bool[np.ndarray, "P B"]) -> list[tuple[int, int]]:
    """Let each row in turn take the first column that is True and still free; return (row, column) pairs."""
    free = np.ones(close.shape[1], bool)
    pairs = []
    for row, fits in enumerate(close):
        columns = np.flatnonzero(fits & free)
        if len(columns):
            free[columns[0]] = False
            pairs.append((row, int(columns[0])))
    return pairs


def _path_score(scores: Float64[np.ndarray, " T"]) -> float:
    """Return the mean of the best `NUM_TOP_SCORES` scores."""
    return float(np.sort(scores)[-NUM_TOP_SCORES:].mean())


def _best_run(gains: Float64[np.ndarray, " T"]) -> slice:
    """Return the run of at least one element with the highest sum: the maximum subarray."""
    total = np.concatenate([[0.0], np.cumsum(gains)])
    end = int((total[1:] - np.minimum.accumulate(total[:-1])).argmax()) + 1
    return slice(int(total[:end].argmin()), end)
