"""The corrected annotations of UCF101-24 as pickles.

Source: https://github.com/gurkirt/corrected-UCF101-Annots. `pyannot.pkl` holds, by video::

    {"numf": 164, "label": 17, "annotations": [{"label": 17, "sf": 0, "ef": 164, "boxes": (164, 4) x, y, w, h}, ...]}

with `sf` 0-based and `ef` exclusive. The arrays are of the smallest unsigned type that holds their values, in which
`x + w` overflows in a tenth of the boxes. `pyannot_with_class_names.pkl` holds the same and more::

    {"db": the videos, "classes": their names, in the order of the labels, "trainvideos": keys of the train split}
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

from stal.data.formats.pickles import load_pickle
from stal.data.formats.short_text import shorten
from stal.data.formats.ucf24_annotations import (
    CLASSES,
    StoredTube,
    read_chosen,
    to_annotations,
    to_video,
)
from stal.errors import AnnotationError
from stal.structures import Annotations, Video

_VIDEO_KEYS, _TUBE_KEYS = ("numf", "label", "annotations"), ("label", "sf", "ef", "boxes")
_MAX_INTEGER = 2**31

_logger = logging.getLogger(__name__)


def read_pyannot(
    annotation_file: str | Path,
    *,
    test_list: str | Path | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
) -> Annotations:
    """Read the annotations of UCF101-24 without its videos, which have their key as path.

    Args:
        annotation_file: `pyannot.pkl` or `pyannot_with_class_names.pkl`.
        test_list: names the videos of the test split. If None, the pickle with class names says it itself, and beside
            the other one `testlist01.txt` does.
        split: `train` or `test`; None for both.
        classes: the classes to keep, in the order of their labels; None for all 24 in alphabetical order.

    Raises:
        DataNotFoundError: a file is missing.
        AnnotationError: a file is broken, of another format, or at odds with the other one.
        ConfigError: there is no such split or class.
    """
    return read_chosen(load_pyannot, annotation_file, test_list, split, classes)


def load_pyannot(file: Path) -> Annotations:
    """Return all videos of a pickle, with their split if it is the one with class names, and else with none."""
    return parse_pyannot(load_pickle(file), file)


def parse_pyannot(raw: Any, file: Path) -> Annotations:
    """Return all videos of what stands in a pickle, which names the file in errors."""
    if not isinstance(raw, Mapping) or not raw:
        raise AnnotationError(f"{file}: holds a {type(raw).__name__}, not a dict of videos as pyannot.pkl")
    if "db" not in raw:
        return _videos(raw, file)
    if not isinstance(raw["db"], Mapping) or not raw["db"] or not {"classes", "trainvideos"} <= raw.keys():
        raise AnnotationError(f"{file}: has `db`, but not the videos in it, `classes` and `trainvideos` beside it")
    if not _are_texts(raw["classes"]) or tuple(raw["classes"]) != CLASSES:
        raise AnnotationError(f"{file}: `classes` are not the 24 of UCF101-24 in alphabetical order")
    if not _are_texts(raw["trainvideos"]):
        raise AnnotationError(f"{file}: `trainvideos` is not a list of videos")
    annotations, train_keys = _videos(raw["db"], file), set(raw["trainvideos"])
    absent = train_keys - {video.key for video in annotations.videos}
    if absent:
        _logger.info("%s: %d of %d train videos are not annotated", file, len(absent), len(train_keys))
    videos = (replace(video, split="train" if video.key in train_keys else "test") for video in annotations.videos)
    return replace(annotations, videos=tuple(videos))


def _videos(raw: Mapping[Any, Any], file: Path) -> Annotations:
    return to_annotations((_video(key, value) for key, value in raw.items()), file)


def _video(key: Any, value: Any) -> Video:
    if not isinstance(key, str):
        raise AnnotationError(f"a key is a {type(key).__name__}, not the name of a video as in pyannot.pkl")
    owner = f"video {key} is not of the format of pyannot.pkl"
    _check_keys(value, _VIDEO_KEYS, owner)
    raw_tubes = value["annotations"]
    if not isinstance(raw_tubes, Sequence):
        raise AnnotationError(f"{owner}: `annotations` is a {type(raw_tubes).__name__}, not a list of tubes")
    for tube in raw_tubes:
        _check_keys(tube, _TUBE_KEYS, owner)
    labels = {_integer(item, "label", owner) for item in (value, *raw_tubes)}
    tubes = [StoredTube(_integer(tube, "sf", owner), _integer(tube, "ef", owner), tube["boxes"]) for tube in raw_tubes]
    return to_video(str(key), _integer(value, "numf", owner), labels, tubes)


def _check_keys(value: Any, keys: tuple[str, ...], owner: str) -> None:
    if not isinstance(value, Mapping) or not set(keys) <= value.keys():
        raise AnnotationError(f"{owner}: found a {type(value).__name__} that is no dict of {', '.join(keys)}")


def _integer(value: Mapping[str, Any], name: str, owner: str) -> int:
    found = value[name]
    number = int(found) if isinstance(found, Integral) else -1
    if not 0 <= number < _MAX_INTEGER:
        text = shorten(int(found)) if isinstance(found, Integral) else f"a {type(found).__name__}"
        raise AnnotationError(f"{owner}: `{name}` is {text}, not a whole number from 0 on")
    return number


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)
