"""YOLO's text files: one for every frame, in a folder for every video or named after it.

Source of the format: https://docs.ultralytics.com/datasets/detect. A line is a box, in fractions of the image::

    <folder>/classes.txt                           names of the classes, one a line (optional)
    <folder>/Biking/v_Biking_g01_c01/00001.txt     or
    <folder>/Biking/v_Biking_g01_c01_00001.txt
        0 0.48 0.63 0.072 0.695                    class, centre x, centre y, width, height; perhaps a score and an id

Classes count from 0. A frame without a file, or with an empty one, has no boxes. Ultralytics' trackers write ids behind
the score, or without one: a sixth value is an id if that of any box of the data set is a whole number above 1. Boxes
without ids that are on consecutive frames are joined by their overlap.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from stal.data.formats.first_frame import find_first_frame
from stal.data.formats.image_fractions import are_pixels
from stal.data.formats.join_boxes import log_dropped, tubes_of_boxes
from stal.data.formats.text_file import load_text, parse_numbers
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, ConfigError, DataNotFoundError, ShapeError
from stal.structures import Annotations, Video

CLASSES_FILE = "classes.txt"

_NAME = re.compile(r"(?:(?P<video>.*)_)?(?P<frame>\d{1,9})", re.DOTALL)
_MAX_ID = 2**53  # from here on, float64 does not hold every integer

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
        first_frame: number of the first frame of a video, 0 or 1; None is 0 if any file has that number, and 1, which
            is logged, if all videos start with it.
        split: name that all videos get.

    Raises:
        DataNotFoundError: there is no such folder, no text file in it, no names of classes, or a video is missing.
        VideoReadError: a video cannot be decoded, or has fewer frames.
        AnnotationError: a file is broken or of another format, the size of a video is not known, or frames may be
            numbered from 0 or from 1.
        ConfigError: two classes have one name.
    """
    path = Path(path)
    names = _class_names(path) if classes is None else list(classes)
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: the classes {names} are not all different")
    videos = _find_files(path, first_frame)
    tables = {key: _read_boxes(files, len(names)) for key, files in videos.items()}
    ids = _read_ids(tables, path)
    dropped: Counter[str] = Counter()
    annotated = tuple(
        _video(key, table, ids.get(key), max(videos[key]), path, source, split, dropped)
        for key, table in tables.items()
    )
    log_dropped(_logger, path, dropped)
    return Annotations(tuple(names), annotated)


def _class_names(folder: Path) -> list[str]:
    text = load_text(
        folder / CLASSES_FILE, missing="it names the classes, one a line; write it, or give the names (--classes)"
    )
    return [line.strip() for line in text.splitlines() if line.strip()]


def _find_files(folder: Path, first_frame: int | None) -> dict[str, dict[int, Path]]:
    """Return the files by video and 0-based frame."""
    files = _number_files(folder)
    if first_frame is None:
        smallest: dict[str, int] = {}
        for key, number in files.values():
            smallest[key] = min(number, smallest.get(key, number))
        first_frame = find_first_frame(smallest, str(folder))
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


def _read_boxes(files: Mapping[int, Path], num_classes: int) -> Float64[np.ndarray, "N 8"]:
    """Return frame, class, centre, size, and sixth and seventh value (NaN if there is none) of all boxes of a video."""
    rows = [
        [frame, *_read_line(line, f"{file}: line {number}")]
        for frame, file in files.items()
        for number, line in enumerate(load_text(file).splitlines(), 1)
        if line.strip()
    ]
    table = np.array(rows, np.float64).reshape(-1, 8)
    label, box = table[:, 1], table[:, 2:6]
    bad_class = ~((label == np.rint(label)) & (label >= 0) & (label < num_classes))
    bad_box = ~(np.isfinite(box).all(axis=1) & (box[:, 2:] >= 0).all(axis=1))
    pixels = (np.abs(box) > 1).any(axis=1) & are_pixels(box)
    for bad, reason in (
        (bad_class, f"the class is none of 0 to {num_classes - 1}; are the classes 1-based?"),
        (bad_box, "a box is centre x, centre y, width and height in fractions of the image"),
        (pixels, "a box is in fractions of the image; are these pixels?"),
    ):
        if bad.any():
            frame, *values = table[bad.argmax()].tolist()
            raise AnnotationError(f"{files[int(frame)]}: {values[:5]}: {reason} ({int(bad.sum())} lines are so)")
    return table


def _read_line(line: str, owner: str) -> list[float]:
    try:
        values = parse_numbers(line.split())
    except ValueError as error:
        raise AnnotationError(f"{owner}: expected numbers, got {line!r:.99}") from error
    if not 5 <= len(values) <= 7:
        raise AnnotationError(
            f"{owner}: {len(values)} values; a box has five, and perhaps a score and an id (polygons are not read)"
        )
    if not np.isfinite(values[5:]).all():
        raise AnnotationError(f"{owner}: {line!r:.99}: a score or an id is not finite")
    return values + [np.nan] * (7 - len(values))


def _read_ids(tables: Mapping[str, Float64[np.ndarray, "N 8"]], path: Path) -> dict[str, Int64[np.ndarray, " N"]]:
    """Return the ids of the boxes by video, nothing if they have none; scores are counted."""
    extra = np.concatenate([table[:, 6:] for table in tables.values()])
    is_given, sixth = ~np.isnan(extra), extra[:, 0]
    has_scores = is_given[:, 1].any() or not ((sixth > 1) & (sixth == np.rint(sixth))).any()
    scores = sixth[is_given[:, 0]] if has_scores else sixth[:0]
    is_none = (scores < 0) | (scores > 1)
    if is_none.any():
        raise AnnotationError(
            f"{path}: a sixth value is {scores[is_none][0]:g}, which is neither a score in [0, 1] nor the id of a track"
        )
    if len(scores):
        _logger.warning("%s: dropped the scores of %d boxes; annotated boxes have none", path, len(scores))
    column = 7 if has_scores else 6
    ids = extra[:, column - 6]
    has_id = ~np.isnan(ids)
    if not has_id.any():
        return {}
    if not has_id.all():
        raise AnnotationError(f"{path}: {(~has_id).sum()} of {len(ids)} boxes have no id of a track; all or none do")
    is_bad = (ids != np.rint(ids)) | (ids < 0) | (ids >= _MAX_ID)
    if is_bad.any():
        raise AnnotationError(f"{path}: the id of a track is {ids[is_bad][0]:g}; ids are whole numbers from 0 on")
    return {key: table[:, column].astype(np.int64) for key, table in tables.items()}


def _video(
    key: str,
    table: Float64[np.ndarray, "N 8"],
    ids: Int64[np.ndarray, " N"] | None,
    last_frame: int,
    path: Path,
    source: VideoSource,
    split: str,
    dropped: Counter[str],
) -> Video:
    facts = source.facts(key, num_frames=last_frame + 1, owner=str(path))
    centre, half = table[:, 2:4], table[:, 4:6] / 2
    scale = [facts.width, facts.height, facts.width, facts.height]
    boxes = np.concatenate([centre - half, centre + half], axis=1) * scale
    try:
        tubes = tubes_of_boxes(table[:, 0].astype(np.int64), boxes, table[:, 1].astype(np.int64), ids, dropped=dropped)
        return Video(key, facts.path, facts.num_frames, facts.height, facts.width, facts.fps, tubes, split)
    except (ShapeError, AnnotationError) as error:
        raise AnnotationError(f"{path}: video {key}: {error}") from error
