"""The annotation pickles that came with the ACT detector, and the data sets that took their layout over.

Source of the format: Kalogeiton et al., Action Tubelet Detector for Spatio-Temporal Action Localization, ICCV 2017,
with `UCF101v2-GT.pkl` and `JHMDB-GT.pkl`. MOC (Li et al., ECCV 2020) reads the same files, and MultiSports (Li et al.,
ICCV 2021) has its own. They hold::

    {"labels": ["brush_hair", "catch", ...],                     in the order of the labels
     "gttubes": {video: {label: [(n, 5) frame, x1, y1, x2, y2, ...]}},
     "nframes": {video: 40}, "resolution": {video: (240, 320)},  height, width
     "train_videos": [[video, ...], ...], "test_videos": [[video, ...], ...]}     one list for every fold

with 1-based frames and 0-based *inclusive* pixels: x2 and y2 are the last pixel of the actor.
"""

import logging
import pickle
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from stal.data.formats.pickles import load_pickle
from stal.data.formats.short_text import shorten
from stal.data.formats.whole_file import open_whole
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.structures import Annotations, Tube, Video, describe

_DICTS = ("gttubes", "nframes", "resolution")
_SPLITS = ("train", "test")
_FAR_BEYOND = 1.1  # times the size of the image: annotators draw boxes beyond its edge, but not that far
_ENOUGH_VIDEOS = 3  # to tell of a file what one video with odd boxes does not
_LAST_TO_END = np.array([0, 0, 1, 1], np.float32)  # from the last pixel to the one behind it
_MAX_INTEGER = 2**31
_MAX_FRAME = 2**24  # float32, in which frames are stored beside their boxes, is exact up to here

_logger = logging.getLogger(__name__)


def read_act_pickle(
    path: str | Path,
    *,
    fold: int | None = None,
    split: str | None = None,
    half_open: bool = True,
) -> Annotations:
    """Read the videos of one division into train and test; they are not looked for, and have their key as path.

    Args:
        path: the pickle.
        fold: number of the division, from 1; None takes the only one there is.
        split: `train` or `test`; None for both, the videos of `train` first.
        half_open: add 1 to x2 and y2, which makes the boxes half-open; otherwise they stay as they are stored, with
            the last pixel as x2 and y2.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: the file is broken, or its structure or a tube in it is not as above, or its boxes tell that
            `resolution` has the width first.
        ConfigError: there is no such fold or split, or several folds and none was chosen.
    """
    path = Path(path)
    if split not in (None, *_SPLITS):
        raise ConfigError(f"{path}: has no split {split!r}; it has 'train' and 'test', and None takes both")
    return parse_act_pickle(load_pickle(path), path, fold=fold, split=split, half_open=half_open)


def parse_act_pickle(raw: Any, path: Path, *, fold: int | None, split: str | None, half_open: bool) -> Annotations:
    """Return what `read_act_pickle` does, of what stands in the pickle."""
    _check_structure(raw, path)
    position = _position_of_fold(raw, fold, path)
    train, test = (raw[f"{name}_videos"][position] for name in _SPLITS)
    in_both = sorted(set(train) & set(test))
    if in_both:
        raise AnnotationError(
            f"{path}: fold {position + 1} has {len(in_both)} videos in both train and test, the first is {in_both[0]}; "
            "take the file from its source"
        )
    splits = [(key, name) for name, keys in zip(_SPLITS, (train, test), strict=True) for key in keys]
    splits = [(key, name) for key, name in splits if split in (None, name)]
    for name in _DICTS:
        missing = [key for key, _ in splits if key not in raw[name]]
        if missing:
            raise AnnotationError(
                f"{path}: {name} lacks {len(missing)} of the {len(splits)} videos, the first is {missing[0]}; "
                "take the file from its source"
            )
    change = _LAST_TO_END if half_open else np.zeros(4, np.float32)
    try:
        annotations = Annotations(tuple(raw["labels"]), tuple(_video(key, raw, name, change) for key, name in splits))
    except AnnotationError as error:
        raise AnnotationError(f"{path} (its frames are 1-based, and 0-based in what follows): {error}") from error
    _check_sizes(annotations.videos, path)
    return annotations


def write_act_pickle(annotations: Annotations, path: str | Path) -> None:
    """Write annotations as a pickle with one fold, so that `read_act_pickle` gives their tubes back.

    Tubes keep their order within a class, and are numbered anew when they are read. The format has no place for paths,
    rates, scenes and silhouettes.

    Args:
        annotations: a data set of annotated tubes, without scores, all of whose videos are of split `train` or `test`.
        path: the pickle; its folder is made if there is none. It can be loaded by Python 2 and by numpy before 2.

    Raises:
        AnnotationError: a video has another split or too many frames, or a tube has a score.
        ConfigError: the file cannot be written.
    """
    path = Path(path)
    for video in annotations.videos:
        _check_writable(video, path)
    num_cut = sum(v.fps is not None or v.scene is not None or v.masks_path is not None for v in annotations.videos)
    if num_cut:
        _logger.warning("%s: has no place for the rates, scenes or silhouettes that %d videos have", path, num_cut)
    keys = {name: [video.key for video in annotations.videos if video.split == name] for name in _SPLITS}
    raw = {
        "labels": list(annotations.classes),
        "gttubes": {video.key: _rows_by_label(video) for video in annotations.videos},
        "nframes": {video.key: video.num_frames for video in annotations.videos},
        "resolution": {video.key: (video.height, video.width) for video in annotations.videos},
        "train_videos": [keys["train"]],
        "test_videos": [keys["test"]],
    }
    with open_whole(path) as file:
        _PortablePickler(file, protocol=2).dump(raw)


def is_act_pickle(raw: object) -> bool:
    """Whether something unpickled looks like one of these files."""
    return isinstance(raw, Mapping) and {"labels", "gttubes"} <= raw.keys()


class _PortablePickler(pickle.Pickler):
    """Writes arrays by names that every numpy has: those of numpy 2 are not in numpy 1."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how to build an array: an empty one, to which its state is given."""
        if isinstance(obj, np.ndarray):
            return np.ndarray, ((0,), "b"), obj.__reduce__()[2]
        return NotImplemented


def _check_writable(video: Video, path: Path) -> None:
    """Raise if the format cannot hold a video."""
    if video.split not in _SPLITS:
        raise AnnotationError(
            f"{path}: video {video.key} has split {video.split!r}, and this format has 'train' and 'test' alone; "
            "give its videos one of these"
        )
    if video.num_frames > _MAX_FRAME:
        raise AnnotationError(
            f"{path}: video {video.key} has {video.num_frames} frames, and this format counts to {_MAX_FRAME}; cut it"
        )
    for tube in video.tubes:
        if tube.score is not None:
            raise AnnotationError(
                f"{path}: video {video.key}: tube {tube.id} has a score, {tube.score}; only annotated tubes are written"
            )


def _rows_by_label(video: Video) -> dict[int, list[Float32[np.ndarray, "T 5"]]]:
    """Return the tubes of a video as the format has them: frame, x1, y1, x2, y2."""
    rows: dict[int, list[np.ndarray]] = {}
    for tube in video.tubes:
        frames = (tube.frames + 1).astype(np.float32)
        rows.setdefault(tube.label, []).append(np.column_stack([frames, tube.boxes - _LAST_TO_END]))
    return rows


def _check_structure(raw: object, path: Path) -> None:
    """Raise unless all parts of the file are there and of their types."""
    lists = tuple(f"{name}_videos" for name in _SPLITS)
    expected = (*_DICTS, "labels", *lists)
    if not isinstance(raw, Mapping) or not set(expected) <= raw.keys():
        found = f"the keys {sorted(map(str, raw))[:9]}" if isinstance(raw, Mapping) else f"a {type(raw).__name__}"
        raise AnnotationError(f"{path}: expected a dict of {', '.join(expected)}, but found {found}")
    for name in _DICTS:
        if not isinstance(raw[name], Mapping):
            raise AnnotationError(f"{path}: {name} is a {type(raw[name]).__name__}, not a dict by video")
    if not _are_texts(raw["labels"]):
        raise AnnotationError(f"{path}: labels is {shorten(raw['labels'])}, not a list of texts")
    for name in lists:
        if not isinstance(raw[name], list | tuple) or not all(map(_are_texts, raw[name])):
            raise AnnotationError(f"{path}: {name} is {shorten(raw[name])}, not a list of texts for every fold")
    if len(set(raw["labels"])) != len(raw["labels"]):
        raise AnnotationError(f"{path}: the labels {shorten(raw['labels'])} are not all different")
    num_train, num_test = (len(raw[name]) for name in lists)
    if num_train != num_test or num_test == 0:
        raise AnnotationError(
            f"{path}: {lists[0]} has {num_train} folds and {lists[1]} {num_test}; both have a list for every fold"
        )


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and abs(int(value)) < _MAX_INTEGER


def _position_of_fold(raw: Mapping[Any, Any], fold: int | None, path: Path) -> int:
    """Return the place of a fold in the lists of videos."""
    numbers = range(1, len(raw["test_videos"]) + 1)
    if fold is None and len(numbers) == 1:
        return 0
    if fold is None or fold not in numbers:
        chosen = "none was chosen" if fold is None else f"not {fold!r}"
        raise ConfigError(f"{path}: has the folds {', '.join(map(str, numbers))}, {chosen}; choose one of them")
    return fold - 1


def _video(key: str, raw: Mapping[Any, Any], split: str, change: Float32[np.ndarray, " 4"]) -> Video:
    """Return one video with its tubes, numbered by class and then in their order."""
    tubes, num_frames, size = raw["gttubes"][key], raw["nframes"][key], raw["resolution"][key]
    if not _is_count(num_frames):
        raise AnnotationError(f"video {key}: nframes {shorten(num_frames)} must be a whole number below 2**31")
    if isinstance(size, np.ndarray):
        size = size.tolist()
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(map(_is_count, size)):
        raise AnnotationError(f"video {key}: resolution {shorten(size)} must be the height and the width")
    if not isinstance(tubes, Mapping) or not all(
        _is_count(label) and isinstance(rows, list | tuple) for label, rows in tubes.items()
    ):
        raise AnnotationError(f"video {key}: gttubes {shorten(tubes)} must be a dict from label to a list of arrays")
    stored = [(int(label), rows) for label in sorted(tubes) for rows in tubes[label]]
    return Video(
        key=key,
        path=Path(key),
        num_frames=int(num_frames),
        height=int(size[0]),
        width=int(size[1]),
        tubes=tuple(_tube(key, number, label, rows, change) for number, (label, rows) in enumerate(stored)),
        split=split,
    )


def _check_sizes(videos: Sequence[Video], path: Path) -> None:
    """Raise if the boxes of all videos tell that `resolution` has the width first; warn if those of some do."""
    videos = [video for video in videos if video.tubes]
    ends = np.array([np.max([tube.boxes[:, 2:].max(axis=0) for tube in video.tubes], axis=0) for video in videos])
    sizes = np.array([(video.width, video.height) for video in videos])
    is_beyond = (ends > _FAR_BEYOND * sizes).any(axis=-1)
    is_beyond_swapped = (ends > _FAR_BEYOND * sizes[..., ::-1]).any(axis=-1)
    swapped = np.flatnonzero(is_beyond & ~is_beyond_swapped)
    if not len(swapped):
        return
    video, (x, y) = videos[swapped[0]], ends[swapped[0]]
    found = (
        f"{path}: boxes of {len(swapped)} of {len(videos)} videos are far outside of the image, and would be inside if "
        f"`resolution` were (width, height) in place of (height, width): video {video.key} has boxes up to x {x:g} and "
        f"y {y:g} in {video.width} x {video.height} pixels"
    )
    if len(swapped) >= _ENOUGH_VIDEOS and not is_beyond_swapped.any():
        raise AnnotationError(f"{found}. No video speaks against it; correct the file")
    _logger.warning("%s", found)


def _tube(key: str, number: int, label: int, rows: Any, change: Float32[np.ndarray, " 4"]) -> Tube:
    """Return one tube of rows frame, x1, y1, x2, y2, with `change` added to the boxes."""
    owner = f"video {key}, tube {number} of class {label}"
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != 5 or rows.dtype.kind not in "fiu":
        found = describe(rows) if isinstance(rows, np.ndarray) else f"a {type(rows).__name__}"
        raise AnnotationError(f"{owner}: {found} must be numbers (n, 5): frame, x1, y1, x2, y2")
    frames = rows[:, 0].astype(np.float64)
    broken = (frames != np.floor(frames)) | ~(np.abs(frames) <= _MAX_FRAME)
    if broken.any():
        row = int(broken.argmax())
        raise AnnotationError(
            f"{owner}: row {row} has frame {frames[row]}; {int(broken.sum())} of {len(frames)} frames are no whole "
            f"numbers up to {_MAX_FRAME}"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which a tube refuses
        boxes = rows[:, 1:].astype(np.float32) + change
    try:
        return Tube(label=label, frames=frames.astype(np.int64) - 1, boxes=boxes, id=number)
    except ShapeError as error:
        raise AnnotationError(f"{owner}: {error}") from error
