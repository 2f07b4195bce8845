"""YOLO's text files: one for every frame, in a folder for every video or named after it.

Source of the format: https://docs.ultralytics.com/datasets/detect. A line is a box, in fractions of the image::

    <folder>/classes.txt                           names of the classes, one a line (optional)
    <folder>/Biking/v_Biking_g01_c01/00001.txt     or
    <folder>/Biking/v_Biking_g01_c01_00001.txt
        0 0.48 0.63 0.072 0.695                    class, centre x, centre y, width, height, and perhaps a score

Classes count from 0. A frame without a file, or with an empty one, has no boxes. The boxes have no identity, so those
on consecutive frames are joined by their overlap.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from stal.data.formats.join_boxes import join_boxes
from stal.data.formats.text_file import load_text
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, ConfigError, DataNotFoundError, ShapeError
from stal.structures import Annotations, Video

CLASSES_FILE = "classes.txt"

_NAME = re.compile(r"(?:(?P<video>.*)_)?(?P<frame>\d{1,9})", re.DOTALL)
_MAX_FRACTION = 1000.0

_logger = logging.getLogger(__name__)


def read_yolo_txt(
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    source: VideoSource = VideoSource(),
    first_frame: int | None = None,
    split: str = "train",
) -> Annotations:
    """Read a folder of text files, one for every frame; scores are dropped and counted.

    The key of a video is the path of its folder, or of its files without the number, below `path`.

    Args:
        path: the folder.
        classes: names in the order of the labels; `<path>/classes.txt` if None.
        source: gives the size and length of the videos.
        first_frame: number of the first frame of a video, 0 or 1; None is 0 if any file has that number, and else 1,
            which is logged.
        split: name that all videos get.

    Raises:
        DataNotFoundError: there is no such folder, no text file in it, no names of classes, or a video is missing.
        VideoReadError: a video cannot be decoded.
        AnnotationError: a file is broken or of another format, or the size of a video is not known.
        ConfigError: two classes have one name.
    """
    path = Path(path)
    names = _class_names(path) if classes is None else list(classes)
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: the classes {names} are not all different")
    videos = _find_files(path, first_frame)
    tables = {key: _read_boxes(files, len(names)) for key, files in videos.items()}
    num_scored = sum(int(np.isfinite(table[:, 6]).sum()) for table in tables.values())
    if num_scored:
        _logger.warning("%s: dropped the scores of %d boxes; annotated boxes have none", path, num_scored)
    return Annotations(
        tuple(names), tuple(_video(key, table, max(videos[key]), path, source, split) for key, table in tables.items())
    )


def _class_names(folder: Path) -> list[str]:
    text = load_text(
        folder / CLASSES_FILE, missing="it names the classes, one a line; write it, or give the names (--classes)"
    )
    return [line.strip() for line in text.splitlines() if line.strip()]


def _find_files(folder: Path, first_frame: int | None) -> dict[str, dict[int, Path]]:
    """Return the files by video and 0-based frame."""
    files = _number_files(folder)
    if first_frame is None:
        first_frame = min(1, min(frame for _, frame in files.values()))
        _logger.warning("%s: frames are taken as numbered from %d on (first_frame)", folder, first_frame)
    videos: dict[str, dict[int, Path]] = {}
    for file, (key, number) in files.items():
        if number < first_frame:
            raise AnnotationError(f"{file}: frames are numbered from {first_frame} on (first_frame)")
        other = videos.setdefault(key, {}).setdefault(number - first_frame, file)
        if other != file:
            raise AnnotationError(f"{file}: {other.name} is the same frame; remove one")
    return videos


def _number_files(folder: Path) -> dict[Path, tuple[str, int]]:
    """Return the key of the video and the number of the frame, by file."""
    files = {}
    for file in sorted(folder.rglob("*.txt")):
        if file == folder / CLASSES_FILE:
            continue
        name = _NAME.fullmatch(file.stem)
        if name is None:
            raise AnnotationError(f"{file}: the name must end with the number of the frame; rename or remove the file")
        parent = file.parent.relative_to(folder)
        if name["video"]:
            key = (parent / name["video"]).as_posix()
        else:
            key = folder.resolve().name if parent == Path() else parent.as_posix()
        files[file] = (key, int(name["frame"]))
    if not files:
        raise DataNotFoundError(f"{folder}: there are no .txt files of frames in this folder")
    return files


def _read_boxes(files: Mapping[int, Path], num_classes: int) -> Float64[np.ndarray, "N 7"]:
    """Return frame, class, centre, size and score (NaN if there is none) of all boxes of a video."""
    rows = [
        [frame, *_read_line(line, f"{file}: line {number}")]
        for frame, file in files.items()
        for number, line in enumerate(load_text(file).splitlines(), 1)
        if line.strip()
    ]
    table = np.array(rows, np.float64).reshape(-1, 7)
    label, box = table[:, 1], table[:, 2:6]
    bad_class = ~((label == np.rint(label)) & (label >= 0) & (label < num_classes))
    bad_box = ~((np.abs(box) < _MAX_FRACTION).all(axis=1) & (box[:, 2:] > 0).all(axis=1))
    for bad, reason in (
        (bad_class, f"the class is none of 0 to {num_classes - 1}; are the classes 1-based?"),
        (bad_box, "a box is centre x, centre y, width and height in fractions of the image"),
    ):
        if bad.any():
            frame, *values = table[bad.argmax()].tolist()
            raise AnnotationError(f"{files[int(frame)]}: {values[:5]}: {reason} ({int(bad.sum())} lines are so)")
    return table


def _read_line(line: str, owner: str) -> list[float]:
    try:
        values = [float(text) for text in line.split()]
    except ValueError as error:
        raise AnnotationError(f"{owner}: expected numbers, got {line!r:.99}") from error
    if len(values) not in (5, 6):
        raise AnnotationError(
            f"{owner}: {len(values)} values; a box has five, or six with a score (polygons and tracks are not read)"
        )
    return values if len(values) == 6 else [*values, np.nan]


def _video(
    key: str, table: Float64[np.ndarray, "N 7"], last_frame: int, path: Path, source: VideoSource, split: str
) -> Video:
    facts = source.facts(key, num_frames=last_frame + 1, owner=str(path))
    centre, half = table[:, 2:4], table[:, 4:6] / 2
    scale = [facts.width, facts.height, facts.width, facts.height]
    boxes = (np.concatenate([centre - half, centre + half], axis=1) * scale).astype(np.float32)
    try:
        tubes = join_boxes(table[:, 0].astype(np.int64), boxes, table[:, 1].astype(np.int64))
        return Video(key, facts.path, facts.num_frames, facts.height, facts.width, facts.fps, tubes, split)
    except (ShapeError, AnnotationError) as error:
        raise AnnotationError(f"{path}: video {key}: {error}") from error
