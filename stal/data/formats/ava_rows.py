"""The rows of AVA's csv files, as numbers."""

import csv
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from stal.data.formats.image_fractions import are_pixels
from stal.data.formats.text_file import open_text, parse_numbers
from stal.errors import AnnotationError

_COLUMNS = "video_id, timestamp, x1, y1, x2, y2, action_id, person_id"
_MAX_ID = 2**53  # from here on, float64 does not hold every integer


def read_rows(path: Path) -> dict[str, Float64[np.ndarray, "N 8"]]:
    """Return line, timestamp, x1, y1, x2, y2, action and person of all boxes, by video in the order of the file.

    Args:
        path: a csv of AVA.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: a row holds no box, or no ids; the message names its line.
    """
    videos: dict[str, array[float]] = {}
    for line, fields in _lines(path):
        if len(fields) not in (2, 8):
            raise AnnotationError(f"{path}: line {line} has {len(fields)} values instead of 8: {_COLUMNS}")
        key = fields[0]
        if key not in videos:
            if not key or not key.isprintable():
                raise AnnotationError(f"{path}: line {line}: the id of the video is {key!r:.99}; it is to be printable")
            videos[key] = array("d")
        if any(map(str.strip, fields[2:])):
            videos[key].append(line)
            videos[key].extend(_numbers(fields[1:], path, line))
    return {key: _check_rows(np.array(rows, np.float64).reshape(-1, 8), path) for key, rows in videos.items()}


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Return the numbers and values of the lines, without empty ones and without the names of the columns."""
    with open_text(path, newline="") as file:
        reader, is_first = csv.reader(file), True
        try:
            for fields in reader:
                is_heading = is_first and fields[:1] == ["video_id"] and not any(map(str.isdigit, "".join(fields[1:2])))
                if fields and not is_heading:
                    yield reader.line_num, fields
                is_first = is_first and not fields
        except csv.Error as error:
            raise AnnotationError(f"{path}: line {reader.line_num} is not csv: {error}") from error


def _numbers(fields: Sequence[str], path: Path, line: int) -> list[float]:
    try:
        return parse_numbers(fields)
    except ValueError as error:
        raise AnnotationError(f"{path}: line {line}: expected numbers, got {','.join(fields)!r:.99}") from error


def _check_rows(table: Float64[np.ndarray, "N 8"], path: Path) -> Float64[np.ndarray, "N 8"]:
    """Return the rows if they hold boxes and ids."""
    x1, y1, x2, y2 = table[:, 2:6].T
    ids = table[:, 6:]
    corners = table[:, 2:6]
    refuse(~np.isfinite(corners).all(axis=1), table, path, "corners are fractions of the image, from 0 to 1")
    if are_pixels(corners):
        is_outside = (np.abs(corners) > 1).any(axis=1)
        refuse(is_outside, table, path, "corners are fractions of the image, from 0 to 1; are these pixels?")
    refuse(~((x1 <= x2) & (y1 <= y2)), table, path, "a box has x1 < x2 and y1 < y2")
    refuse(~((ids == np.rint(ids)) & (np.abs(ids) < _MAX_ID)).all(axis=1), table, path, "the ids are whole numbers")
    refuse(~np.isfinite(table[:, 1]), table, path, "the timestamp is a number of seconds")
    return table


def refuse(bad: Bool[np.ndarray, " N"], table: Float64[np.ndarray, "N 8"], path: Path, reason: str) -> None:
    """Raise if a row is bad.

    Args:
        bad: which rows are.
        table: the rows of a video, as `read_rows` returns them.
        path: the csv.
        reason: what a good row is like.

    Raises:
        AnnotationError: one is; the message names the first.
    """
    if bad.any():
        line, *values = table[bad.argmax()].tolist()
        row = dict(zip(_COLUMNS.split(", ")[1:], values, strict=True))
        raise AnnotationError(f"{path}: line {line:.0f}: {row}: {reason} ({int(bad.sum())} lines of the video are so)")


def read_timestamps(path: Path) -> dict[str, Float64[np.ndarray, " N"]]:
    """Return the timestamps of a csv of `video_id,timestamp`, by video.

    Args:
        path: the csv.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: a row is another one.
    """
    timestamps: dict[str, list[float]] = {}
    for line, fields in _lines(path):
        if len(fields) != 2:
            raise AnnotationError(f"{path}: line {line} has {len(fields)} values instead of 2: video_id, timestamp")
        timestamps.setdefault(fields[0], []).extend(_numbers(fields[1:], path, line))
    return {key: np.array(values) for key, values in timestamps.items()}


def milliseconds(timestamps: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """Return whole milliseconds, by which timestamps that are written in two ways are still equal."""
    return np.rint(timestamps * 1000)
