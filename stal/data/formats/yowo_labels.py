"""UCF101-24 and JHMDB-21 as YOWO lays them out: a text file for every annotated frame.

Source: Koepueklue et al., You Only Watch Once, 2019, https://github.com/wei-tim/YOWO; YOWOv2 reads the same folder::

    labels/Biking/v_Biking_g01_c01/00012.txt        lines `3 67 49 182 183`: class, x1, y1, x2, y2
    rgb-images/Biking/v_Biking_g01_c01/00012.jpg
    trainlist.txt, testlist.txt                     lines `labels/Biking/v_Biking_g01_c01/00012.txt`

Frames and classes are 1-based; boxes are in pixels of 320 x 240. They do not say which actor they are of: from frame to
frame they are joined by their overlap.
"""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stal.data.formats.join_boxes import log_dropped, tubes_of_boxes
from stal.data.formats.text_file import load_text, parse_numbers
from stal.data.formats.ucf24_annotations import CLASSES, HEIGHT, WIDTH
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations, Video

_LISTED = re.compile(r"(?:labels/)?(?P<key>[^/\s]+/[^/\s]+)/(?P<number>\d{1,7})\.(?:txt|jpg|png)", re.ASCII)
_NUMBER = re.compile(r"\d{1,7}", re.ASCII)
_MAX_COORDINATE = 1e6
_LISTS = {"train": "trainlist.txt", "test": "testlist.txt"}

_logger = logging.getLogger(__name__)


def read_yowo_labels(
    root: str | Path,
    *,
    source: VideoSource = VideoSource(),
    classes: Sequence[str] | None = None,
    split: str | None = None,
) -> Annotations:
    """Read the labels of a folder that was prepared for YOWO.

    Args:
        root: the folder with `labels`, and perhaps `rgb-images` and the two lists.
        source: what is not in the folder of the videos that have no frames in `rgb-images`: how many frames they have.
            If that has no videos, the last frame that has a label or is listed is taken for the last one.
        classes: names in the order of the numbers; None for those of UCF101-24.
        split: name of the split that all videos get if there is neither list; `train` if None.

    Raises:
        DataNotFoundError: there are no labels, or a video is not in the source.
        VideoReadError: frames or a video cannot be read, or are fewer than the labels need.
        AnnotationError: a file is broken, a video is in both lists or in neither, or has another size than 320 x 240.
        ConfigError: a split was given, and there are lists.
    """
    root = Path(root)
    names = CLASSES if classes is None else tuple(classes)
    folders = _video_folders(root / "labels")
    listed = {name: _read_list(root / file) for name, file in _LISTS.items() if (root / file).is_file()}
    if listed and split is not None:
        raise ConfigError(
            f"{root}: has splits of its own, in {' and '.join(_LISTS[name] for name in listed)}; leave {split!r} out, "
            "or remove the lists"
        )
    splits = {key: name for name, last_frames in listed.items() for key in last_frames}
    if len(splits) < sum(map(len, listed.values())):
        both = sorted(listed["train"].keys() & listed["test"].keys())
        raise AnnotationError(f"{root}: {len(both)} videos are in both lists, the first is {both[0]}; prepare it again")
    unlisted = sorted(folders.keys() - splits.keys())
    if listed and unlisted:
        raise AnnotationError(
            f"{root}: {len(unlisted)} of {len(folders)} videos with labels are not in {' or '.join(_LISTS.values())}: "
            f"{unlisted[0]} is the first; complete the lists, or remove them to read all as one split"
        )
    last_listed = {key: number for last_frames in listed.values() for key, number in last_frames.items()}
    images = VideoSource(root=root / "rgb-images", fps=source.fps)
    dropped: Counter[str] = Counter()
    videos = [
        _read_video(
            root,
            key,
            folders.get(key),
            last_listed.get(key, 0),
            len(names),
            images if _has_frames(root, key) else source,
            dropped,
        )
        for key in sorted({*folders, *splits})
    ]
    log_dropped(_logger, root, dropped)
    num_without = len(splits.keys() - folders.keys())
    if num_without:
        _logger.info("%s: %d of %d listed videos have no labels, and so no tubes", root, num_without, len(splits))
    num_guessed = sum(not _has_frames(root, video.key) for video in videos) if source.root is None else 0
    if num_guessed:
        _logger.info("%s: %d videos without frames are taken to end with their last label", root, num_guessed)
    return Annotations(names, tuple(replace(v, split=splits.get(v.key, split or "train")) for v in videos))


def _video_folders(labels: Path) -> dict[str, Path]:
    """Return the folders of labels by the keys of their videos."""
    folders = {f"{path.parent.name}/{path.name}": path for path in sorted(labels.glob("*/*")) if path.is_dir()}
    if not folders:
        raise DataNotFoundError(f"{labels}: there are no folders <Class>/<video> of labels; check the path")
    return folders


def _read_list(path: Path) -> dict[str, int]:
    """Return the last frame, 1-based, that is listed of a video."""
    last: dict[str, int] = {}
    for row, line in enumerate(load_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        match = _LISTED.fullmatch(line.strip())
        if match is None or not {".", ".."}.isdisjoint(match["key"].split("/")):
            raise AnnotationError(f"{path}, line {row}: {line!r:.99} is not labels/<Class>/<video>/<frame>.txt")
        last[match["key"]] = max(last.get(match["key"], 0), int(match["number"]))
    return last


def _read_video(
    root: Path,
    key: str,
    folder: Path | None,
    last_frame: int,
    num_classes: int,
    source: VideoSource,
    dropped: Counter[str],
) -> Video:
    """Read all labels of a video."""
    files = _label_files(folder) if folder is not None else {}
    places = [(path, line) for path in files.values() for line in _lines(path)]
    table = np.array([_parse(*place) for place in places], np.float64).reshape(-1, 5)
    frames = np.array([int(path.stem) - 1 for path, _ in places], np.int64)
    labels, boxes = table[:, 0], table[:, 1:]
    is_broken = {
        f"has no class from 1 to {num_classes}": ~np.isin(labels, np.arange(1, num_classes + 1)),
        "has no box x1 y1 x2 y2 in pixels with x1 < x2 and y1 < y2": ~(
            (np.abs(boxes) < _MAX_COORDINATE).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)
        ),
    }
    for what, rows in is_broken.items():
        if rows.any():
            path, line = places[int(rows.argmax())]
            raise AnnotationError(f"{path}: {line!r:.99} {what}; {rows.sum()} of {len(table)} of the video are like it")
    size = source.size or (HEIGHT, WIDTH)
    facts = source.facts(key, num_frames=max([last_frame, *files]), owner=str(root), size=size)
    tubes = tubes_of_boxes(frames, boxes, labels.astype(np.int64) - 1, dropped=dropped)
    try:
        return Video(key, facts.path, facts.num_frames, facts.height, facts.width, facts.fps, tubes=tubes)
    except AnnotationError as error:
        raise AnnotationError(f"{folder or root}: {error}") from error


def _label_files(folder: Path) -> dict[int, Path]:
    """Return the files of a folder by the frame that they name, 1-based."""
    files: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        number = int(path.stem) if path.suffix == ".txt" and _NUMBER.fullmatch(path.stem) else 0
        if number == 0 or number in files:
            raise AnnotationError(f"{path}: not named by a frame of its own, from 00001.txt on; rename or remove it")
        files[number] = path
    return files


def _lines(path: Path) -> list[str]:
    """Return the lines of a file that are not blank."""
    return [line for line in load_text(path).splitlines() if line.strip()]


def _parse(path: Path, line: str) -> list[float]:
    """Return the five numbers of a line."""
    try:
        label, x1, y1, x2, y2 = parse_numbers(line.split())
    except ValueError as error:
        raise AnnotationError(f"{path}: {line!r:.99} is not `class x1 y1 x2 y2`") from error
    return [label, x1, y1, x2, y2]


def _has_frames(root: Path, key: str) -> bool:
    return (root / "rgb-images" / key).is_dir()
