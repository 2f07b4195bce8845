"""From the tubelets of overlapping windows to detections on single frames."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from stal.errors import ConfigError, ShapeError
from stal.ops.boxes import suppressors
from stal.structures import Detections

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


class MergedFrames(NamedTuple):
    """What was detected on frames that no further window covers.

    Attributes:
        frames: consecutive, from the end of the part before on.
        detections: on these frames.
    """

    frames: range
    detections: Detections


def merge_in_order(windows: Iterable[WindowTubelets], *, at_once: bool = False) -> Iterator[MergedFrames]:
    """Merge the tubelets of a video's windows as they come, holding those that further ones may overlap.

    All parts together are what `merge_tubelets` returns for all windows.

    Args:
        windows: as for `merge_tubelets`, each of consecutive frames, by their first frame; together they cover the
            video from frame 0 on.
        at_once: do not wait for the windows that overlap the last one: its frames that no window before it covers are
            merged from it alone, as a live video needs it.
    """
    held: list[WindowTubelets] = []
    start = 0
    for window in windows:
        held.append(window)
        stop = int(window[0][-1]) + 1 if at_once else int(window[0][0])
        if stop > start:
            yield _merge_between(held, start, stop)
            start = stop
            held = [earlier for earlier in held if earlier[0][-1] >= start]
    if held:
        yield _merge_between(held, start, max(int(window[0][-1]) for window in held) + 1)


def _merge_between(windows: Sequence[WindowTubelets], start: int, stop: int) -> MergedFrames:
    parts = []
    for frames, boxes, scores in windows:
        within = (frames >= start) & (frames < stop)
        if within.any():
            parts.append((frames[within] - start, boxes[:, within], scores[:, within]))
    found = merge_tubelets(parts, num_frames=stop - start)
    moved = Detections(found.frames + start, found.boxes, found.labels, found.scores)
    return MergedFrames(range(start, stop), moved)


def _without_area(boxes: Float32[np.ndarray, "N 4"]) -> Bool[np.ndarray, " N"]:
    """Return which boxes have no width or no height; NaN counts as having both, so that it is not hidden."""
    return (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
