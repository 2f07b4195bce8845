"""The corrected annotations of UCF101-24 as a MATLAB file.

Source: https://github.com/gurkirt/corrected-UCF101-Annots. `finalAnnots.mat` has the array of structures `annot`, one
for a video, with the same tubes as `pyannot.pkl`::

    name: "Biking/v_Biking_g01_c01"    num_imgs: 151
    tubes(1): sf: 1    ef: 151    class: 3    boxes: (151, 4) x, y, w, h

Frames and classes are 1-based, and `ef` is the last frame of the tube.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stal.data.formats.mat_file import load_mat
from stal.data.formats.ucf24_annotations import StoredTube, read_chosen, to_annotations, to_video
from stal.errors import AnnotationError
from stal.structures import Annotations, Video

_MAX_INTEGER = 2**31


def read_final_annots(
    path: str | Path,
    *,
    test_list: str | Path | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
) -> Annotations:
    """Read the annotations of UCF101-24 without its videos, which have their key as path.

    Args:
        path: `finalAnnots.mat`.
        test_list: names the videos of the test split; `testlist01.txt` beside the annotations if None.
        split: `train` or `test`; None for both.
        classes: the classes to keep, in the order of their labels; None for all 24 in alphabetical order.

    Raises:
        DataNotFoundError: a file is missing.
        AnnotationError: a file is broken, of another format, or at odds with the other one.
        ConfigError: there is no such split or class.
    """
    return read_chosen(load_final_annots, path, test_list, split, classes)


def load_final_annots(path: Path) -> Annotations:
    """Return all videos of the file, without a split."""
    videos = _structures(load_mat(path, "annot"), ("name", "num_imgs", "tubes"), f"{path}: annot")
    return to_annotations(map(_video, videos), path)


def _video(value: dict[str, Any]) -> Video:
    key = value["name"]
    if not isinstance(key, str):
        raise AnnotationError(f"the name of a video is a {type(key).__name__}, not a text")
    owner = f"video {key}"
    raw_tubes = value["tubes"]
    if isinstance(raw_tubes, np.ndarray) and raw_tubes.size == 0:  # MATLAB's [], where there is none
        raw_tubes = []
    raw_tubes = _structures(raw_tubes, ("sf", "ef", "class", "boxes"), f"{owner}: tubes")
    labels = {_integer(tube, "class", owner) - 1 for tube in raw_tubes}
    tubes = [
        StoredTube(_integer(tube, "sf", owner) - 1, _integer(tube, "ef", owner), tube["boxes"]) for tube in raw_tubes
    ]
    return to_video(key, _integer(value, "num_imgs", owner), labels, tubes)


def _structures(value: Any, fields: tuple[str, ...], owner: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) and set(fields) <= item.keys() for item in value):
        raise AnnotationError(f"{owner} is not an array of structures with {', '.join(fields)}, as in finalAnnots.mat")
    return value


def _integer(structure: dict[str, Any], field: str, owner: str) -> int:
    value = structure[field]
    number = value.item() if isinstance(value, np.ndarray) and value.size == 1 else 0
    if not 1 <= number < _MAX_INTEGER or number % 1:
        found = number if number else f"a {type(value).__name__}"
        raise AnnotationError(f"{owner}: {field} is {found}, not one whole number from 1 on")
    return int(number)
