"""Ground truth and predictions of all videos in flat arrays, which every metric works on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from stal.errors import AnnotationError, ShapeError
from stal.structures import Detections, Tube, Video


@dataclass(frozen=True, eq=False)
class BoxTable:
    """Boxes of all videos.

    Attributes:
        videos: (N,) row of the video of each box, never falling.
        frames: (N,) 0-based frames.
        labels: (N,) classes.
        boxes: (N, 4) xyxy pixels.
        scores: (N,) confidences; 1 for ground truth.
    """

    videos: Int64[np.ndarray, " N"]
    frames: Int64[np.ndarray, " N"]
    labels: Int64[np.ndarray, " N"]
    boxes: Float[np.ndarray, "N 4"]
    scores: Float64[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.videos)


@dataclass(frozen=True, eq=False)
class TubeTable:
    """Tubes of all videos.

    Attributes:
        videos: (N,) row of the video of each tube, never falling.
        labels: (N,) classes.
        scores: (N,) confidences; 1 for ground truth.
        offsets: (N + 1,) tube n has the rows offsets[n] to offsets[n + 1] of `frames` and `boxes`.
        frames: (R,) 0-based frames, rising within a tube.
        boxes: (R, 4) xyxy pixels.
    """

    videos: Int64[np.ndarray, " N"]
    labels: Int64[np.ndarray, " N"]
    scores: Float64[np.ndarray, " N"]
    offsets: Int64[np.ndarray, " N+1"]
    frames: Int64[np.ndarray, " R"]
    boxes: Float[np.ndarray, "R 4"]

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def lengths(self) -> Int64[np.ndarray, " N"]:
        """Return the number of boxes of each tube."""
        return np.diff(self.offsets)

    @property
    def tube_of_box(self) -> Int64[np.ndarray, " R"]:
        """Return the tube that each box is of."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def as_boxes(self) -> BoxTable:
        """Return the boxes of all tubes, with the labels and scores of their tubes."""
        tube = self.tube_of_box
        return BoxTable(self.videos[tube], self.frames, self.labels[tube], self.boxes, self.scores[tube])


@dataclass(frozen=True, eq=False)
class Tables:
    """All that an evaluation looks at.

    Attributes:
        num_classes: number of classes of the data set.
        num_frames: (V,) length of each video.
        sizes: (V, 2) height and width of each video in pixels; 0 where they are not known.
        truth: the annotated tubes.
        boxes: the detections on single frames.
        tubes: the detected tubes.
        has_tubes: there are detected tubes to score, even if they are none; if False, video-mAP is not defined.
        half_open: x2 and y2 are where boxes end; if False, coordinates are taken as inclusive pixels by protocols that
            count those, and as they are by the others.
        scenes: (V,) the scene of each video, None where unknown; None if no video's is known.
        keys: (V,) the key of each video; None if they are not known.
    """

    num_classes: int
    num_frames: Int64[np.ndarray, " V"]
    sizes: Int64[np.ndarray, "V 2"]
    truth: TubeTable
    boxes: BoxTable
    tubes: TubeTable
    has_tubes: bool = True
    half_open: bool = True
    scenes: tuple[str | None, ...] | None = None
    keys: tuple[str, ...] | None = None

    @property
    def first_places(self) -> Int64[np.ndarray, " V"]:
        """Return the number of frames of all videos before each; with a frame of it, the place in the data set."""
        return np.cumsum(self.num_frames) - self.num_frames


def make_tables(
    videos: Sequence[Video],
    num_classes: int,
    *,
    detections: Mapping[str, Detections] | None = None,
    tubes: Mapping[str, Sequence[Tube]] | None = None,
    half_open: bool = True,
) -> Tables:
    """Return ground truth and predictions as tables.

    Args:
        videos: the ground truth.
        num_classes: number of classes of the data set.
        detections: scored boxes by video key; a video that is missing has none.
        tubes: detected tubes, each with its score, by video key; a video that is missing has none. None if tubes are
            not to be scored.
        half_open: see `Tables`.

    Raises:
        StalError: A prediction is of an unknown video, class or frame, a tube has no score, or two videos have one key.
    """
    return Tables(
        num_classes=num_classes,
        num_frames=np.array([video.num_frames for video in videos], np.int64),
        sizes=np.array([(video.height, video.width) for video in videos], np.int64).reshape(-1, 2),
        truth=_truth_table(videos, num_classes),
        boxes=_box_table(videos, detections or {}, num_classes),
        tubes=_tube_table(videos, tubes or {}, num_classes),
        has_tubes=tubes is not None,
        half_open=half_open,
        scenes=tuple(video.scene for video in videos),
        keys=tuple(video.key for video in videos),
    )


def _box_table(videos: Sequence[Video], detections: Mapping[str, Detections], num_classes: int) -> BoxTable:
    """Return the detections of all videos, video by video, in the order they were given.

    Raises:
        StalError: A detection is of an unknown video, class or frame.
    """
    _check_videos(videos, detections, num_classes)
    found = [detections.get(video.key, Detections.empty()) for video in videos]
    for video, boxes in zip(videos, found, strict=True):
        _check_range("detected class", int(boxes.labels.max(initial=-1)), num_classes, video.key)
        _check_range("detection's frame", int(boxes.frames.max(initial=-1)), video.num_frames, video.key)
    everything = Detections.concatenate(found)
    rows = np.repeat(np.arange(len(videos)), [len(boxes) for boxes in found])
    return BoxTable(rows, everything.frames, everything.labels, everything.boxes, everything.scores)


def _tube_table(videos: Sequence[Video], tubes: Mapping[str, Sequence[Tube]], num_classes: int) -> TubeTable:
    """Return the detected tubes of all videos, video by video, in the order they were given.

    Raises:
        StalError: A tube is of an unknown video, class or frame, or has no score.
    """
    _check_videos(videos, tubes, num_classes)
    found = [(row, tube) for row, video in enumerate(videos) for tube in tubes.get(video.key, ())]
    for row, tube in found:
        key = videos[row].key
        _check_range("detected tube's class", tube.label, num_classes, key)
        _check_range("detected tube's frame", int(tube.frames[-1]), videos[row].num_frames, key)
        if tube.score is None or not np.isfinite(tube.score):
            raise ShapeError(f"video {key}: tube {tube.id} has score {tube.score}; detected tubes need a finite one")
    return _flatten(found)


def _truth_table(videos: Sequence[Video], num_classes: int) -> TubeTable:
    """Return the annotated tubes of all videos.

    Raises:
        AnnotationError: Two videos have the same key.
        ShapeError: There is no such class.
    """
    _check_videos(videos, {}, num_classes)
    return _flatten([(row, tube) for row, video in enumerate(videos) for tube in video.tubes])


def _check_videos(videos: Sequence[Video], predicted: Mapping[str, object], num_classes: int) -> None:
    """Raise unless keys are unique, annotated classes exist and every predicted key is an annotated video.

    Args:
        videos: the ground truth.
        predicted: anything by key of a video that has predictions.
        num_classes: number of classes of the data set.
    """
    keys = {video.key for video in videos}
    if len(keys) != len(videos):
        raise AnnotationError(f"{len(videos)} videos have only {len(keys)} different keys; a video counts once")
    for video in videos:
        _check_range("annotated class", max((tube.label for tube in video.tubes), default=-1), num_classes, video.key)
    unknown = sorted(set(predicted) - keys)
    if unknown:
        raise AnnotationError(
            f"predictions for {len(unknown)} unknown videos, first {unknown[0]!r}; the {len(keys)} annotated ones "
            f"begin with {sorted(keys)[:2]}: score against the annotations of the split that was tested"
        )


def _check_range(what: str, highest: int, size: int, video_key: str) -> None:
    """Raise if `highest`, the largest value found, is not in 0 to `size` - 1."""
    if highest >= size:
        raise ShapeError(
            f"video {video_key}: {what} {highest} is outside 0 to {size - 1}; classes and frames are 0-based"
        )


def _flatten(tubes: Sequence[tuple[int, Tube]]) -> TubeTable:
    """Return pairs of (row of the video, tube) as a table; a tube without score has 1."""
    no_frames, no_boxes = np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
    return TubeTable(
        videos=np.array([row for row, _ in tubes], np.int64),
        labels=np.array([tube.label for _, tube in tubes], np.int64),
        scores=np.array([1.0 if tube.score is None else tube.score for _, tube in tubes], np.float64),
        offsets=np.cumsum([0, *(len(tube) for _, tube in tubes)]),
        frames=np.concatenate([no_frames, *(tube.frames for _, tube in tubes)]),
        boxes=np.concatenate([no_boxes, *(tube.boxes for _, tube in tubes)]),
    )
