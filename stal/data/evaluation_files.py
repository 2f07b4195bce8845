"""What an evaluation compares, from its files, in one convention of boxes."""

import dataclasses
from pathlib import Path

from stal.data.box_conventions import to_half_open, to_inclusive
from stal.data.detection_files import DetectionFile, read_detections
from stal.data.ground_truth import read_ground_truth
from stal.errors import AnnotationError, ConfigError


def read_evaluation(
    ground_truth_path: str | Path | None,
    detections_path: str | Path,
    tubes_path: str | Path | None = None,
    *,
    split: str | None = None,
    drop_invalid: bool = False,
) -> DetectionFile:
    """Read ground truth, detections and tubes; the ground truth is brought to the convention of the detections.

    The detections are left as they are. If they are half-open and the ground truth is not, 1 is added to x2 and y2 of
    the ground truth; the other way round, 1 is taken from them.

    Args:
        ground_truth_path: see `read_ground_truth`; None takes the ground truth in the detections file.
        detections_path: see `read_detections`.
        tubes_path: a file of tubes, if they are not in the detections file.
        split: of the ground truth.
        drop_invalid: drop and count invalid predictions instead of raising.

    Returns:
        All three, with `half_open` for all boxes; `tubes` is None if there are none, and they are still to be linked.

    Raises:
        DataNotFoundError: a file is missing.
        AnnotationError: a file is broken, invalid, or at odds with another one.
        ConfigError: the ground truth has no such split, or several and none was chosen.
    """
    if ground_truth_path is None:
        if split is not None:
            raise ConfigError(
                f"{detections_path}: an .npz has no splits, but {split!r} was chosen; leave the split out"
            )
        return read_detections(detections_path, tubes_path=tubes_path, drop_invalid=drop_invalid)
    truth = read_ground_truth(ground_truth_path, split=split)
    found = read_detections(
        detections_path, tubes_path=tubes_path, annotations=truth.annotations, drop_invalid=drop_invalid
    )
    found = dataclasses.replace(found, sizes_known=truth.sizes_known)
    if truth.half_open == found.half_open:
        return found
    convert = to_half_open if found.half_open else to_inclusive
    try:
        return dataclasses.replace(found, annotations=convert(truth.annotations))
    except AnnotationError as error:
        raise AnnotationError(f"{ground_truth_path}: {error}") from error
