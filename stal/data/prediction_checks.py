"""Which rows of detections and tubes cannot be used, and why: a prediction of a detector that is not ours may be wrong.

Every check looks at all rows at once and gives a `Problem`; the caller refuses the file or drops the rows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from stal.errors import AnnotationError
from stal.structures import Annotations, Video

_NORMALISED = -0.5, 1.5  # boxes from 0 to 1, of which some reach over the border
_SMALL = 8  # pixels; in a video that is no larger, all boxes may truly lie there


class Problem(NamedTuple):
    """Rows of one array that share a fault.

    Attributes:
        array: name of the array in its file.
        bad: (N,) True where a row of the array has the fault.
        reason: the fault in a few words.
        describe: gives the text for one row, with its value and what was expected.
        items: (N,) the detection or tube that a row belongs to.
    """

    array: str
    bad: Bool[np.ndarray, " N"]
    reason: str
    describe: Callable[[int], str]
    items: Int64[np.ndarray, " N"]


@dataclass(frozen=True, eq=False)
class Listing:
    """What the rows of a file stand for: the names that it lists, and where the ground truth has them.

    Attributes:
        videos, classes: names, in the order in which the file numbers them.
        annotations: the ground truth, which may have other names, in another order.
        first_frame: number of a video's first frame in the file, 0 or 1.
    """

    videos: tuple[str, ...]
    classes: tuple[str, ...]
    annotations: Annotations
    first_frame: int

    def video_positions(self, rows: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """Return the position in `annotations.videos` of each row of `videos`, -1 where there is none."""
        return _positions(rows, self.videos, [video.key for video in self.annotations.videos])

    def class_positions(self, rows: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """Return the position in `annotations.classes` of each row of `classes`, -1 where there is none."""
        return _positions(rows, self.classes, self.annotations.classes)

    def last_frames(self, rows: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """Return the number, as the file counts, of the last frame of each row of `videos`; a wrong row has any."""
        # the 0 at the end is for position -1
        lengths = np.array([*(video.num_frames for video in self.annotations.videos), 0], np.int64)
        return lengths[self.video_positions(rows)] + self.first_frame - 1


def _positions(rows: Int64[np.ndarray, " N"], listed: Sequence[str], known: Sequence[str]) -> Int64[np.ndarray, " N"]:
    """Return where `known` has the names `listed[rows]`, -1 where it does not or the row does not exist."""
    position = {name: index for index, name in enumerate(known)}
    table = np.array([*(position.get(name, -1) for name in listed), -1], np.int64)
    return table[np.where((rows >= 0) & (rows < len(listed)), rows, len(listed))]


def name_problems(
    prefix: str, videos: Int64[np.ndarray, " N"], classes: Int64[np.ndarray, " N"], listing: Listing
) -> list[Problem]:
    """Find rows whose video or class is not listed, or not in the ground truth.

    Args:
        prefix: `det`, `tube` or `gt`: how the names of the arrays begin.
        videos: the array `<prefix>_video`.
        classes: the array `<prefix>_class`.
        listing: what both stand for.
    """
    return [
        *_name_problems(prefix, "video", "videos", videos, listing.videos, listing.video_positions(videos)),
        *_name_problems(prefix, "class", "labels", classes, listing.classes, listing.class_positions(classes)),
    ]


def _name_problems(
    prefix: str,
    kind: str,
    source: str,
    rows: Int64[np.ndarray, " N"],
    names: Sequence[str],
    positions: Int64[np.ndarray, " N"],
) -> list[Problem]:
    items = np.arange(len(rows))
    unlisted = (rows < 0) | (rows >= len(names))
    unknown = ~unlisted & (positions < 0)
    return [
        Problem(
            f"{prefix}_{kind}",
            unlisted,
            f"unknown {kind}",
            lambda row: f"{rows[row]} is not a row of `{source}`, which has {len(names)}, counted from 0",
            items,
        ),
        Problem(
            f"{prefix}_{kind}",
            unknown,
            f"{kind} not in the ground truth",
            lambda row: f"{rows[row]} is the {kind} {names[rows[row]]!r}, which the ground truth does not have",
            items,
        ),
    ]


def positive_problems(array: str, values: Int64[np.ndarray, "..."]) -> list[Problem]:
    """Find rows of lengths or sizes that are not positive."""
    bad = np.any(values <= 0, axis=tuple(range(1, values.ndim)))
    return [Problem(array, bad, "not positive", lambda row: f"{values[row].tolist()}", np.arange(len(values)))]


def score_problems(array: str, scores: Float[np.ndarray, " N"]) -> list[Problem]:
    """Find scores that are NaN or infinite."""
    bad = ~np.isfinite(scores)
    return [Problem(array, bad, "score not finite", lambda row: f"score {scores[row]}", np.arange(len(scores)))]


def box_problems(array: str, boxes: Float[np.ndarray, "N 4"], items: Int64[np.ndarray, " N"]) -> list[Problem]:
    """Find boxes that are not finite, inverted, or without area."""
    finite = np.isfinite(boxes).all(axis=1)
    inverted = finite & ((boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1]))
    flat = finite & ~inverted & ((boxes[:, 2] == boxes[:, 0]) | (boxes[:, 3] == boxes[:, 1]))

    def describe(expected: str) -> Callable[[int], str]:
        return lambda row: f"box {boxes[row].tolist()}; {expected}"

    rising = "x1, y1, x2, y2 have x1 < x2 and y1 < y2"
    return [
        Problem(array, ~finite, "box not finite", describe("coordinates are finite, and within float32"), items),
        Problem(array, inverted, "box inverted", describe(f"{rising} (is it x, y, width, height?)"), items),
        Problem(array, flat, "box without area", describe(f"{rising} (is it padding, or one pixel wide?)"), items),
    ]


def frame_problems(
    array: str,
    frames: Int64[np.ndarray, " N"],
    videos: Int64[np.ndarray, " N"],
    listing: Listing,
    items: Int64[np.ndarray, " N"],
) -> list[Problem]:
    """Find frames outside their video; `videos` is the row of `listing.videos` for each frame, perhaps a wrong one."""
    known = listing.video_positions(videos) >= 0
    first, last = listing.first_frame, listing.last_frames(videos)
    bad = known & ((frames < first) | (frames > last))

    def describe(row: int) -> str:
        video = f"{listing.videos[videos[row]]!r} has the frames {first} to {last[row]}"
        return f"frame {frames[row]}, but {video} (a file with `format` counts from 0, one without from 1)"

    return [Problem(array, bad, "frame outside the video", describe, items)]


def start_problems(
    array: str,
    starts: Int64[np.ndarray, " G"],
    lengths: Int64[np.ndarray, " G"],
    videos: Int64[np.ndarray, " G"],
    listing: Listing,
) -> list[Problem]:
    """Find tubes of consecutive frames that begin before or end after their video."""
    known = listing.video_positions(videos) >= 0
    first, last = listing.first_frame, listing.last_frames(videos)
    bad = known & ((starts < first) | (starts > last - lengths + 1))

    def describe(row: int) -> str:
        video = f"{listing.videos[videos[row]]!r} has the frames {first} to {last[row]}"
        return (
            f"{lengths[row]} boxes from frame {starts[row]} on, but {video} "
            "(a file with `format` counts from 0, one without from 1)"
        )

    return [Problem(array, bad, "frame outside the video", describe, np.arange(len(starts)))]


def order_problems(array: str, frames: Int64[np.ndarray, " R"], items: Int64[np.ndarray, " R"]) -> list[Problem]:
    """Find boxes of a tube whose frame is not after that of the box before; `items` is the tube of each."""
    same_tube = np.concatenate([np.zeros(min(1, len(items)), bool), items[1:] == items[:-1]])
    before = np.roll(frames, 1)

    def describe(row: int) -> str:
        return f"frame {frames[row]} after frame {before[row]}; the frames of a tube rise"

    return [
        Problem(array, same_tube & (frames == before), "frame repeated", describe, items),
        Problem(array, same_tube & (frames < before), "frames not sorted", describe, items),
    ]


def refuse(problems: Iterable[Problem], path: Path, remedy: str) -> None:
    """Raise for the first problem that any row has.

    Raises:
        AnnotationError: it names the file, the array, the first row, its value, the number of such rows and the remedy.
    """
    for problem in problems:
        if problem.bad.any():
            row, count = int(problem.bad.argmax()), int(problem.bad.sum())
            raise AnnotationError(
                f"{path}: {problem.array}, row {row}: {problem.reason}: {problem.describe(row)}; "
                f"{count} of {len(problem.bad)} rows are such. {remedy}"
            )


def refuse_normalised(
    array: str, boxes: Float[np.ndarray, "N 4"], videos: Iterable[Video], path: Path, *, sizes_known: bool = True
) -> None:
    """Raise if all boxes seem to be fractions of the width and the height of their video, which would score 0.

    Args:
        array: name of the array of boxes.
        boxes: those without a problem of their own.
        videos: that they may be of.
        path: of the file, for the message.
        sizes_known: whether the videos have their true sizes; otherwise they are taken for large.

    Raises:
        AnnotationError: all coordinates lie within -0.5 to 1.5, although a video is larger than 8 pixels.
    """
    if not len(boxes) or (sizes_known and all(max(video.height, video.width) <= _SMALL for video in videos)):
        return
    lowest, highest = boxes.min(), boxes.max()
    if _NORMALISED[0] <= lowest and highest <= _NORMALISED[1]:
        raise AnnotationError(
            f"{path}: {array} lies within {lowest:g} to {highest:g}, so that the boxes seem to be normalised; they are "
            "in pixels: multiply x1 and x2 by the width of the video, y1 and y2 by its height"
        )


def drop(problems: Iterable[Problem], num_items: int) -> tuple[Bool[np.ndarray, " N"], dict[str, int]]:
    """Return which of the detections or tubes have no problem, and how many were dropped by reason.

    What has several problems counts for the first of them.
    """
    valid = np.ones(num_items, dtype=bool)
    dropped = {}
    for problem in problems:
        num_before = int(valid.sum())
        valid[problem.items[problem.bad]] = False
        if num_dropped := num_before - int(valid.sum()):
            dropped[f"{problem.array}: {problem.reason}"] = num_dropped
    return valid, dropped
