"""One .npz file with a data set's ground truth, detections and tubes: all that an evaluation needs.

Layout (V videos, K classes, D detections; G tubes with R boxes in all):
    format      "stal-detections-1: 0-based frames, half-open boxes"
    labels      (K,) names of the classes
    videos      (V,) keys of the videos
    nframes     (V,) annotated lengths
    hw          (V, 2) height and width of each video, or (2,) if all have the same; may be missing
    det_video, det_frame, det_class, det_score    (D,) row in `videos`, frame, class and confidence
    det_boxes   (D, 4) x1, y1, x2, y2 in pixels
    gt_video, gt_class, gt_start    (G,) row in `videos`, class and first frame of the annotated tubes
    gt_offset   (G + 1,) tube g has the rows gt_offset[g] to gt_offset[g + 1] of gt_frame and gt_boxes
    gt_frame    (R,) frame of each box; may be missing if no tube has a gap
    gt_boxes    (R, 4)
    tube_*      as gt_*, with tube_score (G,), for the detected tubes; all may be missing, or in a file of their own

A file without `format` has 1-based frames, which are converted; its coordinates are taken as they are stored. Other
arrays are left alone. docs/detection_files.md has examples.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from stal.data.npz_arrays import NpzArrays
from stal.data.prediction_checks import (
    Listing,
    Problem,
    box_problems,
    drop,
    frame_problems,
    name_problems,
    refuse,
    refuse_normalised,
    score_problems,
)
from stal.data.truth_arrays import REQUIRED_TRUTH_ARRAYS, TRUTH_ARRAYS, GroundTruth, read_truth_arrays
from stal.data.tube_arrays import flatten_tubes, read_tube_arrays, tube_array_names
from stal.errors import AnnotationError, ShapeError
from stal.structures import Annotations, Detections, Tube

FORMAT = "stal-detections-1: 0-based frames, half-open boxes"

_DET_ARRAYS = tuple(f"det_{name}" for name in ("video", "frame", "class", "score", "boxes"))
_TUBE_ARRAYS = tube_array_names("tube")

_OTHER_GT_REMEDY = "name the file with the ground truth, with --ground-truth (ground_truth=...), or write them too"
_PREDICTION_REMEDY = "Correct the file, or leave such predictions out with --drop-invalid (drop_invalid=True)"


@dataclass(frozen=True, eq=False)
class DetectionFile:
    """What is scored against what; predictions by video key, with an entry for every annotated video.

    Attributes:
        annotations: the ground truth.
        detections: scored boxes.
        tubes: detected tubes; None if there are none in the file, and they are still to be linked.
        half_open: whether x2 and y2 lie behind the last pixel, as the file's `format` says; otherwise they are as
            their author stored them.
        sizes_known: whether the annotated videos have their true sizes; otherwise, where the file has no `hw`, they
            are as small as their annotated boxes allow.
        dropped: number of detections and tubes that were dropped as invalid, by array and reason.
    """

    annotations: Annotations
    detections: dict[str, Detections]
    tubes: dict[str, list[Tube]] | None
    half_open: bool
    sizes_known: bool
    dropped: dict[str, int]

    @property
    def num_videos_without_predictions(self) -> int:
        """Number of annotated videos for which there is neither a detection nor a tube."""
        tubes = self.tubes or {}
        return sum(not len(boxes) and not tubes.get(key) for key, boxes in self.detections.items())


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
        **flatten_tubes("gt", [(row, tube) for row, video in enumerate(videos) for tube in video.tubes]),
        **flatten_tubes("tube", found_tubes),
        "tube_score": np.array(scores, np.float64),
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # given a name, NumPy would append .npz where it is missing
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_detections(
    path: Path | str,
    *,
    tubes_path: Path | str | None = None,
    annotations: Annotations | None = None,
    drop_invalid: bool = False,
) -> DetectionFile:
    """Read a file that `write_detections` made, or one of the same arrays without `format`.

    Of videos that the file itself annotates, only what was written is restored: they have their key as path, and tubes
    are numbered anew in their video.

    Args:
        path: the .npz file with the detections.
        tubes_path: an .npz file with the arrays tube_*, which replace those of `path`. Its rows are those of its own
            `videos` and `labels`, or of those of `path` if it has none.
        annotations: the ground truth, if it is not to be taken from `path`. Videos and classes are matched by name;
            boxes are to be in the convention of the file, and are not changed (`read_evaluation` sees to that).
        drop_invalid: drop and count invalid detections and whole tubes with invalid boxes, instead of raising.

    Raises:
        DataNotFoundError: There is no such file.
        AnnotationError: It is not such a file, lacks an array, its arrays are at odds, the ground truth is invalid, or
            a prediction is and `drop_invalid` is False.
    """
    wanted = {"format", "labels", "videos", *_DET_ARRAYS}
    wanted |= TRUTH_ARRAYS if annotations is None else set()
    wanted |= {*_TUBE_ARRAYS, "tube_frame"} if tubes_path is None else set()
    arrays = NpzArrays(Path(path), wanted)
    arrays.require(("labels", "videos", *_DET_ARRAYS))
    half_open = _is_half_open(arrays)
    if annotations is None:
        arrays.require(REQUIRED_TRUTH_ARRAYS, _OTHER_GT_REMEDY)
        truth = read_truth_arrays(arrays, half_open=half_open)
    else:
        truth = GroundTruth(annotations, half_open)
    listing = Listing(arrays.names("videos"), arrays.names("labels"), truth.annotations, 0 if half_open else 1)
    detections, dropped = _read_detections(arrays, listing, drop_invalid)

    tubes = None
    if tubes_path is not None:
        tube_arrays = NpzArrays(Path(tubes_path), {"format", "labels", "videos", *_TUBE_ARRAYS, "tube_frame"})
        tubes, dropped_tubes = _read_tubes(tube_arrays, _listing_of_tubes(tube_arrays, arrays, listing), drop_invalid)
        dropped |= dropped_tubes
    elif any(name in arrays for name in _TUBE_ARRAYS):
        tubes, dropped_tubes = _read_tubes(arrays, listing, drop_invalid)
        dropped |= dropped_tubes
    return DetectionFile(truth.annotations, detections, tubes, half_open, truth.sizes_known, dropped)


def read_annotations(path: Path | str) -> GroundTruth:
    """Read the ground truth of such a file alone; det_* and tube_* may be missing.

    Raises:
        DataNotFoundError: There is no such file.
        AnnotationError: It is not such a file, lacks an array, its arrays are at odds, or a box or frame is invalid.
    """
    arrays = NpzArrays(Path(path), {"format", *TRUTH_ARRAYS})
    arrays.require(REQUIRED_TRUTH_ARRAYS)
    return read_truth_arrays(arrays, half_open=_is_half_open(arrays))


def _is_half_open(arrays: NpzArrays) -> bool:
    """Whether the file declares the format, with 0-based frames and half-open boxes."""
    if "format" not in arrays:
        return False
    if (found := arrays.text("format")) != FORMAT:
        raise AnnotationError(f"{arrays.path}: its format is {found!r}; this version of stal reads {FORMAT!r}")
    return True


def _listing_of_tubes(tube_arrays: NpzArrays, arrays: NpzArrays, listing: Listing) -> Listing:
    """Return what the rows of a file of tubes stand for: its own names, else those of the detections' `listing`."""
    if _is_half_open(tube_arrays) != _is_half_open(arrays):
        with_format, without = (arrays, tube_arrays) if _is_half_open(arrays) else (tube_arrays, arrays)
        raise AnnotationError(
            f"{with_format.path} declares the format {FORMAT!r} and {without.path} does not, so that their frames and "
            "boxes are not to be compared; write both in one convention, with the array `format` in both or in none"
        )
    return dataclasses.replace(
        listing,
        videos=tube_arrays.names("videos") if "videos" in tube_arrays else listing.videos,
        classes=tube_arrays.names("labels") if "labels" in tube_arrays else listing.classes,
    )


def _read_detections(
    arrays: NpzArrays, listing: Listing, drop_invalid: bool
) -> tuple[dict[str, Detections], dict[str, int]]:
    """Return the detections of every annotated video in the order of the file, and what was dropped."""
    rows = arrays.rows("det_video", None, "videos")
    frames, classes = arrays.integers("det_frame", (len(rows),)), arrays.rows("det_class", len(rows), "labels")
    scores, boxes = arrays.numbers("det_score", (len(rows),)), arrays.boxes("det_boxes", len(rows))
    items = np.arange(len(rows))
    problems = [
        *name_problems("det", rows, classes, listing),
        *score_problems("det_score", scores),
        *box_problems("det_boxes", boxes, items),
        *frame_problems("det_frame", frames, rows, listing, items),
    ]
    valid, dropped = _settle(problems, len(rows), arrays.path, drop_invalid)
    refuse_normalised("det_boxes", boxes[valid], listing.annotations.videos, arrays.path)
    kept = Detections(
        frames[valid] - listing.first_frame, boxes[valid], listing.class_positions(classes[valid]), scores[valid]
    )
    videos = listing.annotations.videos
    positions = listing.video_positions(rows[valid])
    by_video = np.argsort(positions, kind="stable")
    bounds = np.searchsorted(positions[by_video], np.arange(len(videos) + 1))
    detections = {
        video.key: kept[by_video[first:end]] for video, first, end in zip(videos, bounds, bounds[1:], strict=False)
    }
    return detections, dropped


def _read_tubes(
    arrays: NpzArrays, listing: Listing, drop_invalid: bool
) -> tuple[dict[str, list[Tube]], dict[str, int]]:
    """Return the detected tubes of every annotated video in the order of the file, and what was dropped."""
    stored = read_tube_arrays("tube", arrays)
    valid, dropped = _settle(stored.problems(listing), len(stored), arrays.path, drop_invalid)
    boxes = stored.boxes[np.repeat(valid, np.diff(stored.offset))]
    refuse_normalised("tube_boxes", boxes, listing.annotations.videos, arrays.path)
    return stored.to_tubes(valid, listing), dropped


def _settle(
    problems: Sequence[Problem], num_items: int, path: Path, drop_invalid: bool
) -> tuple[Bool[np.ndarray, " N"], dict[str, int]]:
    """Drop the predictions that have a problem and count them, or raise for the first one."""
    if not drop_invalid:
        refuse(problems, path, _PREDICTION_REMEDY)
    return drop(problems, num_items)
