"""The csv files of AVA, which name the boxes of keyframes, and mmaction2's variant of them for MultiSports.

Source of the format: Gu et al., AVA: A Video Dataset of Spatio-temporally Localized Atomic Visual Actions, CVPR 2018,
https://research.google.com/ava. A row is one person doing one action on one keyframe::

    video_id, timestamp, x1, y1, x2, y2, action_id, person_id
    1j20qq1JyX4,0902,0.002,0.118,0.714,0.977,12,0

with the timestamp in seconds of the film, which is used from second 900 on and annotated once a second; corners as
fractions of the width and the height; ids from 1 on, with gaps, that a label map names (`label_map.py`); and the number
of a person in the video. A row without a box says that nothing was annotated there. A first line with the names of the
columns is skipped. Keyframes that could not be annotated stand in a file of their own, `video_id,timestamp`.

In mmaction2's `multisports_train.csv` the timestamp is the 1-based frame: read it with `start_seconds=1, fps=1`.
"""

import csv
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from stal.data.formats.join_boxes import group_boxes
from stal.data.formats.label_map import read_label_map, write_label_map
from stal.data.formats.text_file import load_text
from stal.data.formats.video_source import VideoSource
from stal.data.video.reader import VideoFacts
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.structures import Annotations, Video

START_SECONDS, FPS = 900.0, 30.0

_COLUMNS = "video_id, timestamp, x1, y1, x2, y2, action_id, person_id"
_MAX_FRAME = 2**31
_MAX_FRACTION = 1000.0  # far outside of any image, and far from where a number would overflow
_MAX_ID = 2**53  # from here on, float64 does not hold every integer

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Clock:
    """Frames by timestamp: `start_seconds` is that of frame 0, and there are `fps` for each unit of it."""

    start_seconds: float
    fps: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.start_seconds) and 0 < self.fps < np.inf):
            raise ConfigError(
                f"start_seconds {self.start_seconds} and fps {self.fps} must be finite, and fps above 0: the frames "
                "of a second, or 1 where the timestamps are numbers of frames"
            )

    def frames(self, timestamps: Float64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """Return the frames at timestamps, -1 for one that is far from any video."""
        with np.errstate(over="ignore"):
            frames = np.rint((timestamps - self.start_seconds) * self.fps)
        return np.where(np.abs(frames) <= _MAX_FRAME, frames, -1).astype(np.int64)

    def check(self, owner: str, video_fps: float | None, last_frame: int) -> None:
        """Raise if the video runs at another rate, so that a time in it is another frame than it is here."""
        drift = 0 if video_fps is None or self.fps == 1 else abs(video_fps / self.fps - 1) * last_frame
        if drift > 1:
            raise AnnotationError(
                f"{owner}: the video has {video_fps:g} frames a second, so frames would be up to {drift:.0f} off at "
                f"{self.fps:g}; give its rate as fps, or 1 where timestamps are numbers of frames"
            )

    def timestamp(self, frame: int) -> str:
        """Return four digits for whole seconds, as AVA has them, else microseconds."""
        seconds = self.start_seconds + frame / self.fps
        return f"{int(seconds):04d}" if seconds == int(seconds) else f"{seconds:.6f}"


def read_ava_csv(
    path: str | Path,
    *,
    label_map: str | Path | None = None,
    classes: Sequence[str] | None = None,
    excluded: str | Path | None = None,
    source: VideoSource = VideoSource(),
    start_seconds: float = START_SECONDS,
    fps: float = FPS,
    split: str = "train",
) -> Annotations:
    """Read a csv of AVA: a tube for every person and action of a video, with boxes on its keyframes.

    Tubes are numbered by person and then by action, from 0 on in every video; so what `write_ava_csv` wrote keeps its
    numbers if they were consecutive.

    Args:
        path: the csv; it gives videos their ids as keys.
        label_map: names the action ids; rows of other ids are dropped and counted. If None, and there are no
            `classes`, `<path without .csv>.pbtxt`.
        classes: names of the action ids 1, 2, 3, ... in place of a label map.
        excluded: csv of the keyframes to drop, `video_id,timestamp`.
        source: gives the size and length of the videos.
        start_seconds: timestamp of frame 0.
        fps: frames for each unit of the timestamp; the videos must have this rate, unless it is 1.
        split: name that all videos get.

    Raises:
        DataNotFoundError: a file or a video is missing.
        VideoReadError: a video cannot be decoded.
        AnnotationError: a file is broken or of another format, or the size of a video is not known, or its rate is not
            `fps`.
        ConfigError: both a label map and classes are given, or `fps` is not above 0.
    """
    path = Path(path)
    clock = _Clock(start_seconds, fps)
    names = _action_names(path, label_map, classes)
    rows = {key: _check_rows(table, path) for key, table in _rows_by_video(path).items()}
    excluded_frames = {} if excluded is None else _excluded_frames(Path(excluded), clock)

    videos = []
    num_excluded, unknown = 0, np.zeros(0)
    for key, table in rows.items():
        frames = clock.frames(table[:, 1])
        _refuse((frames < 0) | (frames > _MAX_FRAME), table, path, f"the timestamps begin at {start_seconds:g}")
        is_excluded = np.isin(frames, excluded_frames.get(key, ()))
        is_known = np.isin(table[:, 6], list(names))
        num_excluded += int(is_excluded.sum())
        unknown = np.append(unknown, table[~is_known, 6])
        kept = is_known & ~is_excluded
        facts = source.facts(key, num_frames=int(frames[kept].max(initial=0)) + 1, owner=str(path))
        clock.check(f"{path}: video {key}", facts.fps, int(frames[kept].max(initial=0)))
        videos.append(_video(key, table[kept], frames[kept], list(names), facts, path, split))
    _report(path, num_excluded, unknown, sum(map(len, rows.values())))
    return Annotations(tuple(names.values()), tuple(videos))


def write_ava_csv(
    annotations: Annotations, path: str | Path, *, start_seconds: float = START_SECONDS, fps: float = FPS
) -> None:
    """Write a csv of AVA, and beside it the label map `<path without .csv>.pbtxt`.

    Reading it back gives the same float32 boxes. A tube's id becomes the id of the person. The length and size of the
    videos, their `fps`, scenes and silhouettes are not in the format; a video without tubes is a row without a box.

    Args:
        annotations: videos of one split.
        path: the csv; its folder is made if there is none.
        start_seconds: timestamp of frame 0.
        fps: frames for each unit of the timestamp; the videos must have this rate, unless it is 1.

    Raises:
        AnnotationError: the videos are of several splits, a tube has a score, or a name has characters that are not
            printable: the format holds none of them. Or the rate of a video is not `fps`.
    """
    path = Path(path)
    clock = _Clock(start_seconds, fps)
    splits = sorted({video.split for video in annotations.videos})
    if len(splits) > 1:
        raise AnnotationError(f"{path}: an AVA csv is of one split, but the videos are of {splits}; write one for each")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for video in annotations.videos:
        writer.writerows(_rows_of_video(video, clock))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    write_label_map(annotations.classes, path.with_suffix(".pbtxt"))


def _rows_of_video(video: Video, clock: _Clock) -> list[list[str]]:
    """Return the rows of a video by frame; one without a box if it has no tube."""
    if not video.key or not video.key.isprintable():
        raise AnnotationError(f"video {video.key!r}: an id in a csv has printable characters; rename the video")
    clock.check(f"video {video.key}", video.fps, video.num_frames)
    rows: list[tuple[int, list[str]]] = []
    for tube in video.tubes:
        if tube.score is not None:
            raise AnnotationError(
                f"video {video.key}: tube {tube.id} has a score, {tube.score}; only annotated tubes are written"
            )
        fractions = tube.boxes.astype(np.float64) / [video.width, video.height, video.width, video.height]
        for frame, box in zip(tube.frames.tolist(), fractions.tolist(), strict=True):
            stamp = clock.timestamp(frame)
            # nine digits tell all float32 apart
            rows.append((frame, [video.key, stamp, *(f"{x:.9g}" for x in box), str(tube.label + 1), str(tube.id)]))
    if not rows:
        return [[video.key, clock.timestamp(0), "", "", "", "", "", ""]]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _action_names(path: Path, label_map: str | Path | None, classes: Sequence[str] | None) -> dict[int, str]:
    """Return the names of the classes by action id."""
    if classes is None:
        return read_label_map(path.with_suffix(".pbtxt") if label_map is None else label_map)
    if label_map is not None:
        raise ConfigError("give the names of the classes as a label map or as classes, not as both")
    if len(set(classes)) < len(classes):
        raise ConfigError(f"the classes {list(classes)} are not all different")
    return dict(enumerate(classes, 1))


def _rows_by_video(path: Path) -> dict[str, Float64[np.ndarray, "N 8"]]:
    """Return line, timestamp, x1, y1, x2, y2, action and person of all boxes, by video in the order of the file."""
    videos: dict[str, list[list[float]]] = {}
    for line, fields in _lines(path):
        if len(fields) not in (2, 8):
            raise AnnotationError(f"{path}: line {line} has {len(fields)} values instead of 8: {_COLUMNS}")
        rows = videos.setdefault(fields[0], [])
        if any(field.strip() for field in fields[2:]):
            rows.append([line, *_numbers(fields[1:], f"{path}: line {line}")])
    return {key: np.array(rows, np.float64).reshape(-1, 8) for key, rows in videos.items()}


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the numbers and values of the lines, without empty ones and without the names of the columns."""
    reader = csv.reader(io.StringIO(load_text(path), newline=""))
    try:
        lines = [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise AnnotationError(f"{path}: line {reader.line_num} is not csv: {error}") from error
    has_heading = bool(lines) and lines[0][1][0] == "video_id" and not any(map(str.isdigit, "".join(lines[0][1][1:2])))
    return lines[has_heading:]


def _numbers(fields: Sequence[str], owner: str) -> list[float]:
    try:
        return [float(field) for field in fields]
    except ValueError as error:
        raise AnnotationError(f"{owner}: expected numbers, got {','.join(fields)!r:.99}") from error


def _check_rows(table: Float64[np.ndarray, "N 8"], path: Path) -> Float64[np.ndarray, "N 8"]:
    """Return the rows if they hold boxes and ids."""
    x1, y1, x2, y2 = table[:, 2:6].T
    ids = table[:, 6:]
    are_fractions = (np.abs(table[:, 2:6]) < _MAX_FRACTION).all(axis=1)
    _refuse(~are_fractions, table, path, "corners are fractions of the image, from 0 to 1")
    _refuse(~((x1 < x2) & (y1 < y2)), table, path, "a box has x1 < x2 and y1 < y2")
    _refuse(~((ids == np.rint(ids)) & (np.abs(ids) < _MAX_ID)).all(axis=1), table, path, "the ids are whole numbers")
    _refuse(~np.isfinite(table[:, 1]), table, path, "the timestamp is a number of seconds")
    return table


def _refuse(bad: Bool[np.ndarray, " N"], table: Float64[np.ndarray, "N 8"], path: Path, reason: str) -> None:
    """Raise if a row is bad."""
    if bad.any():
        line, *values = table[bad.argmax()].tolist()
        row = dict(zip(_COLUMNS.split(", ")[1:], values, strict=True))
        raise AnnotationError(f"{path}: line {line:.0f}: {row}: {reason} ({int(bad.sum())} lines of the video are so)")


def _excluded_frames(path: Path, clock: _Clock) -> dict[str, Int64[np.ndarray, " N"]]:
    """Return the frames of a csv of `video_id,timestamp`, by video."""
    timestamps: dict[str, list[float]] = {}
    for line, fields in _lines(path):
        if len(fields) != 2:
            raise AnnotationError(f"{path}: line {line} has {len(fields)} values instead of 2: video_id, timestamp")
        timestamps.setdefault(fields[0], []).extend(_numbers(fields[1:], f"{path}: line {line}"))
    return {key: clock.frames(np.array(values)) for key, values in timestamps.items()}


def _video(
    key: str,
    table: Float64[np.ndarray, "N 8"],
    frames: Int64[np.ndarray, " N"],
    actions: Sequence[int],
    facts: VideoFacts,
    path: Path,
    split: str,
) -> Video:
    try:
        boxes = (table[:, 2:6] * [facts.width, facts.height, facts.width, facts.height]).astype(np.float32)
        labels = np.searchsorted(actions, table[:, 6]).astype(np.int64)
        tubes = group_boxes(frames, boxes, labels, table[:, 7].astype(np.int64))
        return Video(key, facts.path, facts.num_frames, facts.height, facts.width, facts.fps, tubes, split)
    except (ShapeError, AnnotationError) as error:
        raise AnnotationError(f"{path}: video {key}: {error}") from error


def _report(path: Path, num_excluded: int, unknown: Float64[np.ndarray, " N"], num_rows: int) -> None:
    """Log what was dropped; raise if that is everything."""
    ids = ", ".join(f"{action:.0f}" for action in np.unique(unknown)[:9])
    if num_rows and len(unknown) == num_rows:
        raise AnnotationError(f"{path}: the label map has none of the action ids {ids}; give that of this file")
    if len(unknown):
        _logger.warning(
            "%s: dropped %d of %d boxes, with action ids that have no name: %s", path, len(unknown), num_rows, ids
        )
    if num_excluded:
        _logger.warning("%s: dropped %d of %d boxes, on excluded keyframes", path, num_excluded, num_rows)
