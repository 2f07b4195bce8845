"""The annotation pickles that came with the ACT detector: `UCF101v2-GT.pkl` and `JHMDB-GT.pkl`.

Source of the format: Kalogeiton et al., Action Tubelet Detector for Spatio-Temporal Action Localization, ICCV 2017.
The pickles were written by Python 2 and hold::

    {"labels": ["brush_hair", "catch", ...],                     in the order of the labels
     "gttubes": {video: {label: [(n, 5) frame, x1, y1, x2, y2, ...]}},
     "nframes": {video: 40}, "resolution": {video: (240, 320)},  height, width
     "train_videos": [[video, ...], ...], "test_videos": [[video, ...], ...]}     one list for every split

with 1-based frames and 0-based *inclusive* pixels: x2 and y2 are the last pixel of the actor.
"""

from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from stal.data.box_conventions import to_half_open
from stal.data.formats.pickles import load_pickle
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.structures import Annotations, Tube, Video, describe

_DICTS = ("gttubes", "nframes", "resolution")
_LISTS = ("labels", "test_videos")


def read_act_pickle(path: str | Path, split: str | None = None, *, half_open: bool = False) -> Annotations:
    """Read the test videos of one split; videos are not looked for, and have their key as path.

    Args:
        path: the pickle.
        split: `1`, `2`, ... as the file has them; None takes the only one there is.
        half_open: add 1 to x2 and y2, which makes the boxes half-open; otherwise they stay as they are stored, with
            the last pixel as x2 and y2.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: the file is broken, or its structure or a tube in it is not as above.
        ConfigError: there is no such split, or several and none was chosen.
    """
    path = Path(path)
    raw = load_pickle(path)
    _check_structure(raw, path)
    keys = _videos_of_split(raw["test_videos"], split, path)
    for name in _DICTS:
        missing = [key for key in keys if key not in raw[name]]
        if missing:
            raise AnnotationError(
                f"{path}: {name} lacks {len(missing)} of the {len(keys)} test videos, the first is {missing[0]}; "
                "take the file from its source"
            )
    try:
        annotations = Annotations(tuple(raw["labels"]), tuple(_video(key, raw) for key in keys))
    except AnnotationError as error:
        raise AnnotationError(f"{path} (its frames are 1-based, and 0-based in what follows): {error}") from error
    return to_half_open(annotations) if half_open else annotations


def is_act_pickle(raw: object) -> bool:
    """Whether something unpickled looks like one of these files."""
    return isinstance(raw, Mapping) and {"labels", "gttubes"} <= raw.keys()


def _check_structure(raw: object, path: Path) -> None:
    """Raise unless all parts of the file are there and of their types."""
    if not isinstance(raw, Mapping) or not {*_DICTS, *_LISTS} <= raw.keys():
        found = f"the keys {sorted(map(str, raw))[:9]}" if isinstance(raw, Mapping) else f"a {type(raw).__name__}"
        raise AnnotationError(f"{path}: expected a dict of {', '.join((*_DICTS, *_LISTS))}, but found {found}")
    for name in _DICTS:
        if not isinstance(raw[name], Mapping):
            raise AnnotationError(f"{path}: {name} is a {type(raw[name]).__name__}, not a dict by video")
    if not _are_texts(raw["labels"]):
        raise AnnotationError(f"{path}: labels is {raw['labels']!r:.99}, not a list of texts")
    if not isinstance(raw["test_videos"], list | tuple) or not all(map(_are_texts, raw["test_videos"])):
        raise AnnotationError(f"{path}: test_videos is {raw['test_videos']!r:.99}, not a list of texts for every split")
    if len(set(raw["labels"])) != len(raw["labels"]):
        raise AnnotationError(f"{path}: the labels {raw['labels']} are not all different")


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


def _videos_of_split(splits: Sequence[Sequence[str]], split: str | None, path: Path) -> Sequence[str]:
    """Return the test videos of a split."""
    names = [str(number) for number in range(1, len(splits) + 1)]
    if split is None and len(names) == 1:
        split = names[0]
    if split not in names:
        chosen = "none was chosen" if split is None else f"not {split!r}"
        raise ConfigError(f"{path}: has the splits {', '.join(names)}, {chosen}; choose one with `split`")
    return splits[names.index(split)]


def _video(key: str, raw: Mapping[str, Any]) -> Video:
    """Return one video with its tubes, numbered by class and then in their order."""
    tubes, num_frames, size = raw["gttubes"][key], raw["nframes"][key], np.asarray(raw["resolution"][key])
    if not isinstance(num_frames, Integral):
        raise AnnotationError(f"video {key}: nframes {num_frames!r:.99} must be a whole number")
    if size.shape != (2,) or size.dtype.kind not in "iu":
        raise AnnotationError(f"video {key}: resolution {size.tolist()!r:.99} must be the height and the width")
    if not isinstance(tubes, Mapping) or not all(
        isinstance(label, Integral) and isinstance(rows, list | tuple) for label, rows in tubes.items()
    ):
        raise AnnotationError(f"video {key}: gttubes {tubes!r:.99} must be a dict from label to a list of arrays")
    stored = [(int(label), rows) for label in sorted(tubes) for rows in tubes[label]]
    return Video(
        key=key,
        path=Path(key),
        num_frames=int(num_frames),
        height=int(size[0]),
        width=int(size[1]),
        tubes=tuple(_tube(key, number, label, rows) for number, (label, rows) in enumerate(stored)),
        split="test",
    )


def _tube(key: str, number: int, label: int, rows: Any) -> Tube:
    """Return one tube of rows frame, x1, y1, x2, y2."""
    owner = f"video {key}, tube {number} of class {label}"
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != 5 or rows.dtype.kind not in "fiu":
        raise AnnotationError(f"{owner}: {describe(rows)} must be numbers (n, 5): frame, x1, y1, x2, y2")
    broken = ~np.isfinite(rows[:, 0]) | (rows[:, 0] != np.floor(rows[:, 0]))
    if broken.any():
        row = int(broken.argmax())
        raise AnnotationError(
            f"{owner}: row {row} has frame {rows[row, 0]}; {int(broken.sum())} of {len(rows)} frames are not whole"
        )
    try:
        return Tube(
            label=label, frames=rows[:, 0].astype(np.int64) - 1, boxes=rows[:, 1:].astype(np.float32), id=number
        )
    except ShapeError as error:
        raise AnnotationError(f"{owner}: {error}") from error
