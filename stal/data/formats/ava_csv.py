"""The csv files of AVA, which name the boxes of keyframes, and mmaction2's variant of them for MultiSports.

Source of the format: Gu et al., AVA: A Video Dataset of Spatio-temporally Localized Atomic Visual Actions, CVPR 2018,
https://research.google.com/ava. A row is one person doing one action on one keyframe::

    video_id, timestamp, x1, y1, x2, y2, action_id, person_id
    1j20qq1JyX4,0902,0.002,0.118,0.714,0.977,12,0

with the timestamp in seconds of the film, which is used from second 900 on and annotated once a second; corners as
fractions of the width and the height; ids from 1 on, with gaps, that a label map names (`label_map.py`); and the number
of a person in the video. A row without a box says that nothing was annotated there. A first line with the names of the
columns is skipped. Keyframes that could not be annotated stand in a file of their own, `video_id,timestamp`.

Which frame is shown at a time, the times of the frames of the video say, or without the videos a fixed rate. In
mmaction2's `multisports_train.csv` the timestamp is the 1-based frame: read it with `start_seconds=1, fps=1`.
"""

import csv
import io
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, Int64

from stal.data.formats.ava_rows import milliseconds, read_rows, read_timestamps, refuse
from stal.data.formats.image_fractions import MAX_FRACTION, are_pixels
from stal.data.formats.join_boxes import log_dropped, tubes_of_boxes
from stal.data.formats.label_map import read_label_map, write_label_map
from stal.data.formats.video_source import VideoSource
from stal.data.formats.whole_file import open_whole
from stal.data.video.clock import MAX_FRAME
from stal.data.video.reader import VideoFacts, frames_at
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.structures import Annotations, Video

START_SECONDS, FPS = 900.0, 30.0

_MAX_SECONDS = 1e8  # and numbers of frames, which are far from where an integer would overflow
_SLACK_SECONDS = 0.0005

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

    def frames(self, seconds: Float64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """Return the frames at times since frame 0."""
        return np.rint((seconds * self.fps).clip(max=MAX_FRAME)).astype(np.int64)

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
    fps: float | None = None,
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
        fps: frames for each unit of the timestamp; the videos must have this rate, unless it is 1. None takes the frame
            that the video shows then; without videos it is the rate of the source, or that of AVA, 30.
        split: name that all videos get.

    Raises:
        DataNotFoundError: a file or a video is missing.
        VideoReadError: a video cannot be decoded, ends before its annotation, or needs `fps` because its frames have no
            times, as those of a folder.
        AnnotationError: a file is broken or of another format, or the size of a video is not known, or its rate is not
            `fps`.
        ConfigError: both a label map and classes are given, or `fps` is not above 0.
    """
    path = Path(path)
    clock = _Clock(start_seconds, (source.fps or FPS) if fps is None else fps)
    names = _action_names(path, label_map, classes)
    rows = read_rows(path)
    excluded_times = {} if excluded is None else read_timestamps(Path(excluded))

    videos = []
    num_excluded, unknown, dropped = 0, [np.zeros(0)], Counter[str]()
    for key, table in rows.items():
        seconds = table[:, 1] - start_seconds
        in_video = (seconds > -_SLACK_SECONDS) & (seconds < _MAX_SECONDS)
        refuse(~in_video, table, path, f"the timestamps begin at {start_seconds:g}")
        is_excluded = np.isin(milliseconds(table[:, 1]), milliseconds(excluded_times.get(key, np.zeros(0))))
        is_known = np.isin(table[:, 6], list(names))
        num_excluded += int(is_excluded.sum())
        unknown.append(table[~is_known, 6])
        kept = is_known & ~is_excluded
        facts, frames = _frames_of_video(key, seconds[kept].clip(min=0), clock, fps is not None, source, path)
        videos.append(_video(key, table[kept], frames, list(names), facts, path, split, dropped))
    _report(path, num_excluded, np.concatenate(unknown), sum(map(len, rows.values())))
    log_dropped(_logger, path, dropped)
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
        AnnotationError: the videos are of several splits, a tube has a score, a box is far outside of the image, or a
            name has characters that are not printable: the format holds none of them. Or the rate of a video is not
            `fps`, or the video is there and shows other frames at these times.
        VideoReadError: a video is there, but cannot be decoded.
        ConfigError: a file cannot be written.
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
    with open_whole(path) as file:
        file.write(text.getvalue().encode())
        write_label_map(annotations.classes, path.with_suffix(".pbtxt"))


def _rows_of_video(video: Video, clock: _Clock) -> list[list[str]]:
    """Return the rows of a video by frame; one without a box if it has no tube."""
    if not video.key or not video.key.isprintable():
        raise AnnotationError(f"video {video.key!r}: an id in a csv has printable characters; rename the video")
    clock.check(f"video {video.key}", video.fps, video.num_frames)
    _check_shown(video, clock)
    rows: list[tuple[int, list[str]]] = []
    for tube in video.tubes:
        if tube.score is not None:
            raise AnnotationError(
                f"video {video.key}: tube {tube.id} has a score, {tube.score}; only annotated tubes are written"
            )
        for frame, box in zip(tube.frames.tolist(), _fractions(video, tube.boxes).tolist(), strict=True):
            stamp = clock.timestamp(frame)
            # nine digits tell all float32 apart
            rows.append((frame, [video.key, stamp, *(f"{x:.9g}" for x in box), str(tube.label + 1), str(tube.id)]))
    if are_pixels(_fractions(video, np.concatenate([np.zeros((0, 4)), *(tube.boxes for tube in video.tubes)]))):
        raise AnnotationError(
            f"video {video.key}: most boxes are far outside of the image, or one is by {MAX_FRACTION:g} times its "
            "size, so that they would be taken for pixels; correct them"
        )
    if not rows:
        return [[video.key, clock.timestamp(0), "", "", "", "", "", ""]]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _fractions(video: Video, boxes: Float[np.ndarray, "N 4"]) -> Float64[np.ndarray, "N 4"]:
    return boxes.astype(np.float64) / [video.width, video.height, video.width, video.height]


def _check_shown(video: Video, clock: _Clock) -> None:
    """Raise if the video is there and shows other frames at the times that are written."""
    if clock.fps == 1 or not video.tubes or not video.path.is_file():
        return
    frames = np.unique(np.concatenate([tube.frames for tube in video.tubes]))
    shown, num_slots = frames_at(video.path, frames / clock.fps, fps=clock.fps)
    if num_slots > video.num_frames:
        raise AnnotationError(
            f"video {video.key}: {video.path} lasts for {num_slots} frames, but {video.num_frames} are annotated, at "
            "no fixed rate; give 1 as fps and as start_seconds, which write numbers of frames"
        )
    if (shown != frames).any():
        row = int((shown != frames).argmax())
        raise AnnotationError(
            f"video {video.key}: {video.path} does not show frame {frames[row]} at {frames[row] / clock.fps:.3f} s, "
            f"but {shown[row]}; give its rate as fps if it has one, or 1 as fps and as start_seconds: numbers of frames"
        )


def _action_names(path: Path, label_map: str | Path | None, classes: Sequence[str] | None) -> dict[int, str]:
    """Return the names of the classes by action id."""
    if classes is None:
        return read_label_map(path.with_suffix(".pbtxt") if label_map is None else label_map)
    if label_map is not None:
        raise ConfigError("give the names of the classes as a label map or as classes, not as both")
    if len(set(classes)) < len(classes):
        raise ConfigError(f"the classes {list(classes)} are not all different")
    return dict(enumerate(classes, 1))


def _frames_of_video(
    key: str, seconds: Float64[np.ndarray, " N"], clock: _Clock, is_rate_given: bool, source: VideoSource, path: Path
) -> tuple[VideoFacts, Int64[np.ndarray, " N"]]:
    """Return what is known of a video, and its frames at times since frame 0."""
    owner, num_frames = str(path), 0
    if source.root is not None and (clock.fps != 1 or not is_rate_given):
        rate = clock.fps if is_rate_given else source.fps
        facts, shown = source.facts_at(key, seconds, fps=rate, owner=owner)
        if not is_rate_given:
            return facts, shown
        drift = int(np.abs(clock.frames(seconds) - shown).max(initial=0))
        if drift > 1:
            raise AnnotationError(
                f"{owner}: video {key}: at {clock.fps:g} frames a second, frames would be up to {drift} off those that "
                f"{facts.path} shows then; leave fps away to take these, or give 1 if timestamps are numbers of frames"
            )
        num_frames = facts.num_frames
    frames = clock.frames(seconds)
    last = int(frames.max(initial=0))
    facts = source.facts(key, num_frames=max(num_frames, last + 1), owner=owner)
    if source.root is None:
        clock.check(f"{owner}: video {key}", facts.fps, last)
    return facts, frames


def _video(
    key: str,
    table: Float64[np.ndarray, "N 8"],
    frames: Int64[np.ndarray, " N"],
    actions: Sequence[int],
    facts: VideoFacts,
    path: Path,
    split: str,
    dropped: Counter[str],
) -> Video:
    try:
        boxes = table[:, 2:6] * [facts.width, facts.height, facts.width, facts.height]
        labels = np.searchsorted(actions, table[:, 6]).astype(np.int64)
        tubes = tubes_of_boxes(frames, boxes, labels, table[:, 7].astype(np.int64), dropped=dropped)
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
