"""ACT linking: grow paths of tubelets that overlap in time (Kalogeiton et al., ICCV 2017)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from stal.errors import ShapeError
from stal.linking.parameters import require_count, require_fraction, require_non_negative
from stal.linking.paths import PathRows, grow_paths, pairs_at_distance
from stal.ops.boxes import paired_iou
from stal.ops.pairs import equal_pairs, survivors
from stal.ops.tubes import interpolate_boxes
from stal.structures import Detections, Tube


@dataclass(frozen=True, eq=False)
class Tubelets:
    """Scored tubelets of one video, in any order, one class each; all have K consecutive frames.

    Attributes:
        starts: (N,) first frame of each, 0-based.
        boxes: (N, K, 4) xyxy half-open pixels of the video, on the frames from the first on.
        labels: (N,) classes.
        scores: (N,) higher is surer.
    """

    starts: Int64[np.ndarray, " N"]
    boxes: Float32[np.ndarray, "N K 4"]
    labels: Int64[np.ndarray, " N"]
    scores: Float64[np.ndarray, " N"]

    def __post_init__(self) -> None:
        n, k = len(self.starts), self.num_frames
        shapes = {name: getattr(self, name).shape for name in ("starts", "boxes", "labels", "scores")}
        if k < 1 or shapes != {"starts": (n,), "boxes": (n, k, 4), "labels": (n,), "scores": (n,)}:
            raise ShapeError(
                f"tubelets: shapes {shapes} must be (N,), (N, K, 4), (N,), (N,) of the same N, K at least 1"
            )
        # Their boxes have to be what those of detections are.
        repeated = (np.repeat(values, k) for values in (self.labels, self.scores))
        Detections(np.repeat(self.starts, k), self.boxes.reshape(-1, 4), *repeated)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def num_frames(self) -> int:
        """K, the frames of each tubelet."""
        return self.boxes.shape[1] if self.boxes.ndim == 3 else 0

    def take(self, rows: Int64[np.ndarray, " M"]) -> "Tubelets":
        """Return the tubelets of `rows`."""
        return Tubelets(self.starts[rows], self.boxes[rows], self.labels[rows], self.scores[rows])


@dataclass(frozen=True)
class ActLinking:
    """Grow paths of tubelets: each takes the surest free tubelet that overlaps its last one.

    Paths are served by the mean of all their scores (Kalogeiton et al., ICCV 2017, `BuildTubes` of ACT.py). The
    overlap of two tubelets is the mean IoU of their boxes on the frames that both have; if there are none, the IoU of
    the last box of the first with the first box of the second. A single box is a tubelet of one frame.

    Attributes:
        iou_threshold: overlap that a tubelet needs with the last one of a path to follow it. Kalogeiton et al.: 0.2;
            MOC-Detector: 0.5.
        max_offset: a tubelet starts at most so many frames after the one that it follows; must not be less than the
            stride of the windows. Kalogeiton et al.: 5, for tubelets of 6 frames that start on every frame.
    """

    iou_threshold: float = 0.2
    max_offset: int = 5

    def __post_init__(self) -> None:
        require_fraction("iou_threshold", self.iou_threshold)
        require_count("max_offset", self.max_offset, minimum=1)

    def __call__(self, boxes: Detections) -> list[PathRows]:
        """Return the paths through `boxes`, which `Candidates` has sorted."""
        return self.link_tubelets(Tubelets(boxes.frames, boxes.boxes[:, None], boxes.labels, boxes.scores))

    def link_tubelets(self, tubelets: Tubelets) -> list[PathRows]:
        """Return the paths through tubelets that are sorted by class, then start, then best first."""
        pairs = []
        for offset in range(1, self.max_offset + 1):
            earlier, later = pairs_at_distance(tubelets.labels, tubelets.starts, offset)
            overlap = _overlap(tubelets.boxes[earlier], tubelets.boxes[later], offset)
            close = overlap >= self.iou_threshold
            pairs.append((earlier[close], later[close], overlap[close]))
        earlier, later, overlap = (np.concatenate(column) for column in zip(*pairs, strict=True))
        return grow_paths(
            tubelets.labels, tubelets.starts, tubelets.scores, earlier, later, overlap, num_rank_scores=None
        )


def link_tubelets(
    tubelets: Tubelets,
    *,
    num_frames: int,
    nms_iou: float = 0.3,
    top_k: int = 10,
    link: ActLinking = ActLinking(),
    min_score: float = 0.01,
    min_length: int = 15,
) -> list[Tube]:
    """Link the tubelets of one video to tubes, as Kalogeiton et al. (ICCV 2017, `BuildTubes` of ACT.py).

    The defaults are theirs. A tube has every frame from the first of its first tubelet to the last of its last one. The
    box of a frame is the mean over the tubelets that cover it; frames that none covers are interpolated, where their
    code divides by zero. Overlaps are of continuous boxes, without their + 1.

    Args:
        tubelets: of one video, in any order: the tubes do not depend on it.
        num_frames: length of the video.
        nms_iou: mean IoU from which on tubelets of one class and start count as the same, in [0, 1].
        top_k: number of tubelets of a class and start that are linked.
        link: which tubelets may follow each other.
        min_score: score that a tube needs.
        min_length: frames that a tube needs, or `num_frames` where the video is shorter.

    Returns:
        The tubes, class by class, in the order in which they start; each is scored by the mean of its tubelets.

    Raises:
        ConfigError: A parameter is out of range.
        ShapeError: A tubelet leaves the video.
    """
    require_fraction("nms_iou", nms_iou)
    require_count("top_k", top_k, minimum=1)
    require_non_negative("min_score", min_score)
    require_count("min_length", min_length, minimum=1)
    last = int(tubelets.starts.max(initial=-1)) + tubelets.num_frames - 1
    if len(tubelets) and last >= num_frames:
        raise ShapeError(f"a tubelet ends on frame {last} of 0 to {num_frames - 1}; give num_frames of its video")
    tubelets = _candidates(tubelets, nms_iou, top_k)
    tubes: list[Tube] = []
    for rows in link.link_tubelets(tubelets):
        path = tubelets.take(np.array(rows))
        score = float(path.scores.mean())
        frames, boxes = interpolate_boxes(*_mean_boxes(path))
        if score >= min_score and len(frames) >= min(min_length, num_frames):
            tubes.append(Tube(int(path.labels[0]), frames, boxes, id=len(tubes), score=score))
    return tubes


def _overlap(
    a: Float32[np.ndarray, "P K 4"], b: Float32[np.ndarray, "P K 4"], offset: int
) -> Float64[np.ndarray, " P"]:
    """Return the overlap of each tubelet of `a` with the one of `b` that starts `offset` frames later."""
    shared = a.shape[1] - offset
    if shared <= 0:
        return paired_iou(a[:, -1], b[:, 0])
    return paired_iou(a[:, offset:], b[:, :shared]).mean(axis=1)


def _candidates(tubelets: Tubelets, nms_iou: float, top_k: int) -> Tubelets:
    """Return the `top_k` best survivors of each class and start, sorted by class, then start, then best first."""
    coordinates = tubelets.boxes.reshape(len(tubelets), 4 * tubelets.num_frames).T
    order = np.lexsort((*coordinates[::-1], -tubelets.scores, tubelets.starts, tubelets.labels))
    tubelets = tubelets.take(order)
    groups = tubelets.labels * (tubelets.starts.max(initial=0) + 1) + tubelets.starts
    better, worse = equal_pairs(groups, groups)
    better, worse = better[better < worse], worse[better < worse]
    same = _overlap(tubelets.boxes[better], tubelets.boxes[worse], 0) >= nms_iou
    kept = np.flatnonzero(survivors(better[same], worse[same], len(tubelets)))
    place_in_group = np.arange(len(kept)) - np.searchsorted(groups[kept], groups[kept])
    return tubelets.take(kept[place_in_group < top_k])


def _mean_boxes(path: Tubelets) -> tuple[Int64[np.ndarray, " T"], Float32[np.ndarray, "T 4"]]:
    """Return the frames that the tubelets of a path cover, and the mean box on each."""
    frames, place = np.unique(path.starts[:, None] + np.arange(path.num_frames), return_inverse=True)
    place = place.reshape(-1)
    sums = np.stack([np.bincount(place, side) for side in path.boxes.reshape(-1, 4).T], axis=1)
    return frames, (sums / np.bincount(place)[:, None]).astype(np.float32)
