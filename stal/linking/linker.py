"""Linkers: from the scored boxes of a video to tubes, in steps that can be exchanged.

candidates    a score floor, suppression and the best few boxes of each class on each frame
link          paths of boxes over time: `OnlineLinking`, `ActLinking`, `ViterbiLinking`
fill          frames without a box get one by linear interpolation
trim          the part of a path, or parts, that are the action: `KeepWhole`, `DualLabel`, `MaxSubarray`
score, drop   the score of each part; parts that are too short, unsure or repeated are dropped

>>> tubes = LINKERS["default"](detections, num_frames=240)
>>> dataclasses.replace(LINKERS["online"], trim=TRIMMERS["none"])
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float64

from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.linking.act import ActLinking
from stal.linking.candidates import Candidates
from stal.linking.online import OnlineLinking
from stal.linking.parameters import require_count, require_fraction, require_non_negative
from stal.linking.paths import PathRows
from stal.linking.trimming import NUM_TOP_SCORES, DualLabel, KeepWhole, MaxSubarray, mean_of_best
from stal.linking.viterbi import ViterbiLinking
from stal.ops.pairs import survivors
from stal.ops.tubes import interpolate_boxes, tube_iou_pairs
from stal.structures import Detections, Tube

MAX_BOXES_AT_ONCE = 50_000  # of all videos that are linked in one pass; more need more memory and are no faster


@dataclass(frozen=True)
class Linker:
    """Link the detections of a video to tubes, class by class.

    Attributes:
        candidates: keeps the boxes that are worth linking.
        link: gives the paths through boxes that are sorted by class, then frame, then best first. Each video of a batch
            has classes of its own.
        trim: gives the parts of a path that are its action, from the score of each frame.
        min_length: frames that a tube needs, or the length of the video where that is less. Singh et al.: 9;
            Kalogeiton et al.: 15.
        min_score: score that a tube needs. Kalogeiton et al.: 0.01.
        num_top_scores: the score of a tube is the mean over so many of its best frames; None: over all. Singh et al.:
            40; Kalogeiton et al. and Gkioxari & Malik: all.
        gap_weight: a frame without a box scores this fraction, in [0, 1], of what interpolation gives it. Singh et al.
            count it in full: 1.
        nms_iou: tubes of one class that overlap a better one by so much or more are dropped; None keeps them. YOWOv2:
            0.3 with Viterbi linking.
    """

    candidates: Candidates
    link: Callable[[Detections], list[PathRows]]
    trim: Callable[[Float64[np.ndarray, " T"]], list[slice]]
    min_length: int = 15
    min_score: float = 0.0
    num_top_scores: int | None = NUM_TOP_SCORES
    gap_weight: float = 1.0
    nms_iou: float | None = None

    def __post_init__(self) -> None:
        for name in ("candidates", "link", "trim"):
            if not callable(step := getattr(self, name)):
                raise ConfigError(f"{name} {step!r}: give the step itself, such as KeepWhole() for trim")
        require_count("min_length", self.min_length, minimum=1)
        require_non_negative("min_score", self.min_score)
        require_fraction("gap_weight", self.gap_weight)
        if self.num_top_scores is not None:
            require_count("num_top_scores", self.num_top_scores, minimum=1)
        if self.nms_iou is not None:
            require_fraction("nms_iou", self.nms_iou)

    def __call__(self, detections: Detections, *, num_frames: int) -> list[Tube]:
        """Link the detections of one video.

        Args:
            detections: scored boxes, in any order: the tubes do not depend on it.
            num_frames: length of the video.

        Returns:
            The tubes, class by class, in the order in which their paths start, numbered in this order; each has its
            score, and a box on every frame from its first to its last.

        Raises:
            ShapeError: A detection is on a frame that the video does not have, or its score is outside 0 to 1.
        """
        return self.link_batch([detections], [num_frames])[0]

    def link_batch(self, detections: Sequence[Detections], num_frames: Sequence[int]) -> list[list[Tube]]:
        """Link several videos in one pass, as `__call__` would each: every class of every video is linked apart."""
        for of_video, length in zip(detections, num_frames, strict=True):
            _check(of_video, length)
        num_classes = 1 + max((int(of_video.labels.max(initial=0)) for of_video in detections), default=0)
        boxes = self.candidates(
            Detections.concatenate(
                [
                    Detections(d.frames, d.boxes, d.labels + video * num_classes, d.scores)
                    for video, d in enumerate(detections)
                ]
            )
        )
        tubes: list[list[Tube]] = [[] for _ in detections]
        # Boxes are sorted by video and class, so that this is the order of the first boxes within them.
        for path in sorted(self.link(boxes), key=lambda path: path[0]):
            video, label = divmod(int(boxes.labels[path[0]]), num_classes)
            min_length = min(self.min_length, num_frames[video])
            if boxes.frames[path[-1]] - boxes.frames[path[0]] + 1 >= min_length:
                tubes[video] += self._tubes_of_path(boxes[path], label, min_length, first_id=len(tubes[video]))
        return tubes if self.nms_iou is None else [_suppress(of_video, self.nms_iou) for of_video in tubes]

    def _tubes_of_path(self, path: Detections, label: int, min_length: int, first_id: int) -> list[Tube]:
        """Fill, trim and score one path."""
        frames, boxes = interpolate_boxes(path.frames, path.boxes)
        scores = np.interp(frames, path.frames, path.scores)
        weights = np.full(len(frames), self.gap_weight)
        weights[path.frames - frames[0]] = 1
        scores *= weights
        tubes: list[Tube] = []
        for part in self.trim(scores):
            score = mean_of_best(scores[part], self.num_top_scores or len(scores))
            if part.stop - part.start >= min_length and score >= self.min_score:
                tubes.append(Tube(label, frames[part], boxes[part], id=first_id + len(tubes), score=score))
        return tubes


def link_videos(
    linker: Linker, detections: Mapping[str, Detections], num_frames: Mapping[str, int]
) -> dict[str, list[Tube]]:
    """Link the detections of every video to tubes.

    Args:
        linker: one of `LINKERS`, or another.
        detections: scored boxes by video key; a video that is missing has none.
        num_frames: length of every video, by video key.

    Returns:
        The tubes of every video of `num_frames`, by video key.

    Raises:
        AnnotationError: There are detections of a video that `num_frames` does not have.
        ShapeError: A detection is on a frame that its video does not have, or its score is outside 0 to 1.
    """
    unknown = sorted(detections.keys() - num_frames.keys())
    if unknown:
        raise AnnotationError(
            f"detections of {len(unknown)} unknown videos, such as {unknown[0]}: give their num_frames"
        )
    keys = list(num_frames)
    found = [detections.get(key, Detections.empty()) for key in keys]
    for key, of_video in zip(keys, found, strict=True):
        _check(of_video, num_frames[key], f"video {key}: ")
    batch = np.cumsum([len(of_video) for of_video in found]) // MAX_BOXES_AT_ONCE
    starts = np.flatnonzero(np.diff(batch, prepend=-1)).tolist()
    tubes: dict[str, list[Tube]] = {}
    for start, end in pairwise([*starts, len(keys)]):
        lengths = [num_frames[key] for key in keys[start:end]]
        tubes |= zip(keys[start:end], linker.link_batch(found[start:end], lengths), strict=True)
    return tubes


def _check(detections: Detections, num_frames: int, owner: str = "") -> None:
    """Raise unless all detections are on frames of the video, and their scores are probabilities."""
    last = detections.frames.max(initial=-1)
    if last >= num_frames:
        raise ShapeError(f"{owner}a detection is on frame {last} of 0 to {num_frames - 1}; are its frames 1-based?")
    outside = (detections.scores < 0) | (detections.scores > 1)
    if outside.any():
        raise ShapeError(
            f"{owner}{int(outside.sum())} of {len(outside)} detections have scores outside 0 to 1, such as "
            f"{detections.scores[outside][0]}: linkers take scores for probabilities; take the sigmoid of logits and "
            "the exponential of log-probabilities, or give tubes that are linked already"
        )


def _suppress(tubes: Sequence[Tube], nms_iou: float) -> list[Tube]:
    """Return the tubes without those that overlap a better one of their class; of equal ones the first is better."""
    labels = np.array([tube.label for tube in tubes], np.int64)
    scores = np.array([tube.score for tube in tubes], np.float64)
    rank = np.argsort(np.argsort(-scores, kind="stable"))
    better, worse, iou = tube_iou_pairs(tubes, labels, tubes, labels)
    same = (rank[better] < rank[worse]) & (iou >= nms_iou)
    kept = np.flatnonzero(survivors(better[same], worse[same], len(tubes)))
    return [replace(tubes[row], id=number) for number, row in enumerate(kept.tolist())]


TRIMMERS: dict[str, Callable[[Float64[np.ndarray, " T"]], list[slice]]] = {
    "none": KeepWhole(),
    "dual_label": DualLabel(),
    "max_subarray": MaxSubarray(),
}

# docs/linking.md says where the parameters of each come from, what each departs from, and what each gives.
LINKERS: dict[str, Linker] = {
    "default": Linker(
        candidates=Candidates(min_score=0.01, nms_iou=0.5, top_k=10),
        link=ViterbiLinking(iou_weight=1.0, iou_threshold=0.15, max_gap=10, max_paths=10),
        trim=MaxSubarray(threshold=0.5),
        min_length=15,
        gap_weight=0.5,
    ),
    "online": Linker(
        candidates=Candidates(min_score=0.001, nms_iou=0.45, top_k=10),
        link=OnlineLinking(iou_threshold=0.1, max_gap=3),
        trim=DualLabel(alpha=3.0),
        min_length=9,
    ),
    "act": Linker(
        candidates=Candidates(min_score=0.0, nms_iou=0.3, top_k=10),
        link=ActLinking(iou_threshold=0.2, max_offset=5),
        trim=KeepWhole(),
        min_length=15,
        min_score=0.01,
        num_top_scores=None,
    ),
    "viterbi": Linker(
        candidates=Candidates(min_score=0.0, nms_iou=0.3, top_k=10),
        link=ViterbiLinking(iou_weight=1.0, iou_threshold=0.0, max_gap=10, max_paths=10),
        trim=MaxSubarray(),
        min_length=15,
        num_top_scores=None,
        nms_iou=0.3,
    ),
}


def find_linker(name: object, trim: object = None) -> Linker:
    """Return the linker of that name, with the trimmer of that name in place of its own if one is named.

    Raises:
        ConfigError: There is no such linker or trimmer.
    """
    if not isinstance(name, str) or name not in LINKERS:
        raise ConfigError(f"linker {name!r} is not known; known are {', '.join(LINKERS)}")
    if trim is None:
        return LINKERS[name]
    if not isinstance(trim, str) or trim not in TRIMMERS:
        raise ConfigError(f"trimmer {trim!r} is not known; known are {', '.join(TRIMMERS)}")
    return replace(LINKERS[name], trim=TRIMMERS[trim])
