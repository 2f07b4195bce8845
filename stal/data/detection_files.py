"""One .npz file with a data set's ground truth, detections and tubes: all that an evaluation needs.

Layout (V videos, K classes, D detections; G tubes with R boxes in all):
    format      "stal-detections-1: 0-based frames, half-open boxes"
    labels      (K,) names of the classes
    videos      (V,) keys of the videos
    nframes     (V,) annotated lengths
    hw          (V, 2) height and width of each video, or (2,) if all have the same
    det_video, det_frame, det_class, det_score    (D,) row in `videos`, frame, class and confidence
    det_boxes   (D, 4) float32
    gt_video, gt_class, gt_start    (G,) row in `videos`, class and first frame of the annotated tubes
    gt_offset   (G + 1,) tube g has the rows gt_offset[g] to gt_offset[g + 1] of gt_frame and gt_boxes
    gt_frame    (R,) frame of each box; may be missing if no tube has a gap
    gt_boxes    (R, 4) float32
    tube_*      as gt_*, with tube_score (G,), for the detected tubes

A file without `format` has 1-based frames, which are converted; its coordinates are taken as they are stored.
"""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stal.errors import AnnotationError, DataNotFoundError, ShapeError, StalError
from stal.structures import Annotations, Detections, Tube, Video

FORMAT = "stal-detections-1: 0-based frames, half-open boxes"


class DetectionFile(NamedTuple):
    """What a detections file holds; predictions by video key, with an entry for every video."""

    annotations: Annotations
    detections: dict[str, Detections]
    tubes: dict[str, list[Tube]]


def write_detections(
    path: Path | str,
    annotations: Annotations,
    detections: Mapping[str, Detections],
    tubes: Mapping[str, Sequence[Tube]],
) -> None:
    """Write ground truth, detections and detected tubes to one compressed .npz file.

    Args:
        path: file to write; its folder is made, an old file is replaced.
        annotations: the videos that were tested. Of a video, its key, length, size and tubes are written.
        detections: scored boxes by video key.
        tubes: detected tubes, each with its score, by video key.

    Raises:
        StalError: A prediction is of an unknown video, or a tube has no score.
    """
    videos = annotations.videos
    unknown = sorted({*detections, *tubes} - {video.key for video in videos})
    if unknown:
        raise AnnotationError(f"{path}: predictions for videos that are not annotated: {unknown[:3]}")
    found = [detections.get(video.key, Detections.empty()) for video in videos]
    found_tubes = [(row, tube) for row, video in enumerate(videos) for tube in tubes.get(video.key, ())]
    scores = [tube.score for _, tube in found_tubes]
    if None in scores:
        raise ShapeError(f"{path}: detected tube {found_tubes[scores.index(None)][1]} has no score")
    boxes = Detections.concatenate(found)
    arrays = {
        "format": np.array(FORMAT),
        "labels": np.array(annotations.classes, dtype=str),
        "videos": np.array([video.key for video in videos], dtype=str),
        "nframes": np.array([video.num_frames for video in videos], np.int64),
        "hw": np.array([(video.height, video.width) for video in videos], np.int64).reshape(-1, 2),
        "det_video": np.repeat(np.arange(len(videos)), [len(of_video) for of_video in found]),
        "det_frame": boxes.frames,
        "det_class": boxes.labels,
        "det_score": boxes.scores,
        "det_boxes": boxes.boxes,
        **_tube_arrays("gt", [(row, tube) for row, video in enumerate(videos) for tube in video.tubes]),
        **_tube_arrays("tube", found_tubes),
        "tube_score": np.array(scores, np.float64),
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # given a name, NumPy would append .npz where it is missing
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_detections(path: Path | str) -> DetectionFile:
    """Read a file that `write_detections` made, or one of the same arrays without `format`.

    Only what was written is restored: videos have their key as path, and tubes are numbered anew in their video.

    Raises:
        DataNotFoundError: There is no such file.
        AnnotationError: It is not such a file, lacks an array, or its arrays are at odds.
    """
    path = Path(path)
    arrays = _load(path)
    try:
        return _parse(arrays)
    except StalError as error:
        raise AnnotationError(f"{path}: {error}") from error


def _tube_arrays(prefix: str, tubes: Sequence[tuple[int, Tube]]) -> dict[str, np.ndarray]:
    """Return the arrays of (row of the video, tube) pairs."""
    no_frames, no_boxes = np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
    return {
        f"{prefix}_video": np.array([row for row, _ in tubes], np.int64),
        f"{prefix}_class": np.array([tube.label for _, tube in tubes], np.int64),
        f"{prefix}_start": np.array([tube.frames[0] for _, tube in tubes], np.int64),
        f"{prefix}_offset": np.cumsum([0, *(len(tube) for _, tube in tubes)]),
        f"{prefix}_frame": np.concatenate([no_frames, *(tube.frames for _, tube in tubes)]),
        f"{prefix}_boxes": np.concatenate([no_boxes, *(tube.boxes for _, tube in tubes)]),
    }


def _load(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an .npz file; never unpickles."""
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such detections file")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise AnnotationError(f"{path}: not an .npz of plain arrays, or broken: {error}") from error


def _parse(arrays: dict[str, np.ndarray]) -> DetectionFile:
    """Return the structures that the arrays describe."""
    required = {"labels", "videos", "nframes", "hw", "tube_score"}
    required |= {f"det_{name}" for name in ("video", "frame", "class", "score", "boxes")}
    required |= {f"{kind}_{name}" for kind in ("gt", "tube") for name in ("video", "class", "start", "offset", "boxes")}
    missing = sorted(required - set(arrays))
    if missing:
        raise AnnotationError(f"arrays {missing} are missing; there are {sorted(arrays)}")
    if "format" in arrays and str(arrays["format"]) != FORMAT:
        raise AnnotationError(f"its format is {str(arrays['format'])!r}; this version of stal reads {FORMAT!r}")
    first_frame = 0 if "format" in arrays else 1

    num_videos = len(arrays["videos"])
    if len(arrays["nframes"]) != num_videos or arrays["hw"].shape not in {(2,), (num_videos, 2)}:
        shapes = {name: arrays[name].shape for name in ("videos", "nframes", "hw")}
        raise AnnotationError(f"shapes {shapes} must be (V,), (V,), and (V, 2) or (2,)")
    truth = _parse_tubes("gt", arrays, first_frame, [None] * len(arrays["gt_video"]))
    found = _parse_tubes("tube", arrays, first_frame, arrays["tube_score"].tolist())

    sizes = np.broadcast_to(arrays["hw"], (num_videos, 2)).tolist()
    keys = arrays["videos"].tolist()
    videos = [
        Video(key, Path(key), num_frames, height, width, tubes=tuple(tubes))
        for key, num_frames, (height, width), tubes in zip(keys, arrays["nframes"].tolist(), sizes, truth, strict=True)
    ]
    annotations = Annotations(tuple(arrays["labels"].tolist()), tuple(videos))
    detections = _parse_detections(arrays, first_frame)
    return DetectionFile(annotations, dict(zip(keys, detections, strict=True)), dict(zip(keys, found, strict=True)))


def _parse_detections(arrays: dict[str, np.ndarray], first_frame: int) -> list[Detections]:
    """Return the detections of every video, in the order of the file."""
    rows = arrays["det_video"]
    counts = {name: len(arrays[name]) for name in ("det_video", "det_frame", "det_class", "det_score", "det_boxes")}
    if len(set(counts.values())) != 1:
        raise AnnotationError(f"{counts} entries must be as many of each")
    _check_rows("det_video", rows, len(arrays["videos"]))
    boxes = Detections(
        arrays["det_frame"].astype(np.int64) - first_frame,
        arrays["det_boxes"].astype(np.float32),
        arrays["det_class"].astype(np.int64),
        arrays["det_score"].astype(np.float64),
    )
    by_video = np.argsort(rows, kind="stable")
    ends = np.searchsorted(rows[by_video], np.arange(1, len(arrays["videos"])))
    return [boxes[part] for part in np.split(by_video, ends)][: len(arrays["videos"])]


def _parse_tubes(
    prefix: str, arrays: dict[str, np.ndarray], first_frame: int, scores: list[float | None]
) -> list[list[Tube]]:
    """Return the tubes of every video, in the order of the file."""
    rows, labels, starts = (arrays[f"{prefix}_{name}"] for name in ("video", "class", "start"))
    offset, boxes = arrays[f"{prefix}_offset"], arrays[f"{prefix}_boxes"].astype(np.float32)
    lengths = np.diff(offset)
    counts = {
        f"{prefix}_video": len(rows),
        f"{prefix}_class": len(labels),
        f"{prefix}_start": len(starts),
        f"{prefix}_score": len(scores),
        f"{prefix}_offset - 1": len(lengths),
    }
    if len(set(counts.values())) != 1:
        raise AnnotationError(f"{counts} entries must be as many of each")
    _check_rows(f"{prefix}_video", rows, len(arrays["videos"]))
    if (lengths <= 0).any() or offset[0] != 0 or offset[-1] != len(boxes):
        raise AnnotationError(f"{prefix}_offset must rise from 0 to the {len(boxes)} rows of {prefix}_boxes")
    consecutive = np.repeat(starts.astype(np.int64) - offset[:-1], lengths) + np.arange(len(boxes))
    frames = arrays.get(f"{prefix}_frame", consecutive).astype(np.int64) - first_frame
    if len(frames) != len(boxes):
        raise AnnotationError(f"{prefix}_frame has {len(frames)} entries for {len(boxes)} {prefix}_boxes")
    tubes: list[list[Tube]] = [[] for _ in arrays["videos"]]
    for row, label, start, end, score in zip(rows, labels, offset[:-1], offset[1:], scores, strict=True):
        of_video = tubes[row]
        of_video.append(Tube(int(label), frames[start:end], boxes[start:end], id=len(of_video), score=score))
    return tubes


def _check_rows(name: str, rows: np.ndarray, num_videos: int) -> None:
    """Raise unless all are rows of `videos`."""
    if len(rows) and not 0 <= rows.min() <= rows.max() < num_videos:
        raise AnnotationError(f"{name} has rows {rows.min()} to {rows.max()}, but there are {num_videos} videos")
