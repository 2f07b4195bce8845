"""The tracks of a file of CVAT: boxes by frame, with attributes, each of which may end where the actor is outside."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import Float32, Float64, Int64

from stal.data.formats.short_text import shorten
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.structures import Tube

_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_MAX_NUMBER = 2**31
_CHOICES = ("select", "radio")  # types of attributes whose values are listed
_NO_VALUE = (None, "", "__undefined__")  # the last is what CVAT's manual advises where there is nothing to choose


@dataclass
class TrackReader:
    """Reads tracks, and keeps what several files share.

    Attributes:
        attribute: name of the attribute whose values are the classes; None takes the labels.
        labels: classes by name, numbered in the order in which they are met.
        not_read: what tracks have besides that, counted.
        attributes: names of all the attributes that were met.
    """

    attribute: str | None = None
    labels: dict[str, int] = field(default_factory=dict)
    not_read: Counter[str] = field(default_factory=Counter)
    attributes: set[str] = field(default_factory=set)

    def add_labels(self, labels: Element) -> None:
        """Take the classes from the list of labels of a task."""
        for label in labels.iterfind("label"):
            if self.attribute is None:
                self._label_of(label.findtext("name", ""))
            for node in label.iterfind("attributes/attribute"):
                name = node.findtext("name", "")
                self.attributes.add(name)
                if name == self.attribute and node.findtext("input_type") in _CHOICES:
                    for value in node.findtext("values", "").splitlines():
                        if value not in _NO_VALUE:
                            self._label_of(value)

    def read(self, file: Path, root: Element) -> tuple[Tube, ...]:
        """Return the tubes of all tracks that are visible somewhere.

        They have the ids of their tracks. Where the classes are the values of an attribute, a track may be of several
        tubes, and all are numbered in their order.
        """
        tubes = [tube for track in root.iterfind("track") for tube in self._tubes(file, track)]
        if self.attribute is None:
            return tuple(tubes)
        return tuple(Tube(tube.label, tube.frames, tube.boxes, number) for number, tube in enumerate(tubes))

    def check_attribute(self, path: Path) -> None:
        """Raise if the chosen attribute was nowhere."""
        if self.attribute is not None and self.attribute not in self.attributes:
            raise ConfigError(
                f"{path}: there is no attribute {self.attribute!r}; there are {shorten(sorted(self.attributes))}"
            )

    def _tubes(self, file: Path, track: Element) -> list[Tube]:
        """Return the tube of a track, or one for every run of a value of the attribute."""
        owner = f"track {track.get('id')}"
        label, number = track.get("label"), track.get("id", "")
        if label is None or not re.fullmatch(r"\d{1,15}", number):
            fail(file, f"{owner} (label {label!r}) must have a label and a number as id")
        self.not_read.update(f"{node.tag} of tracks" for node in track if node.tag not in ("box", "attribute"))
        nodes = [node for node in track.iterfind("box") if node.get("outside") != "1"]
        if not nodes:
            self.not_read["tracks without a visible box"] += 1
            return []
        rows = np.array([_box(file, owner, node) for node in nodes])
        outside = np.array([_frame(file, owner, node) for node in track.iterfind("box") if node.get("outside") == "1"])
        classes = [self._class_of(node, track, label) for node in nodes]
        order = np.argsort(rows[:, 0], kind="stable")
        frames = rows[order, 0]
        if (np.diff(frames) == 0).any():
            twice = frames[np.diff(frames, append=-1) == 0][0]
            fail(file, f"{owner}: has two boxes on frame {twice:.0f}, but frames are strictly increasing; remove one")
        self._count_gaps(frames, np.sort(outside))
        try:
            return [
                Tube(self._label_of(name), *_frames_and_boxes(rows[some]), int(number))
                for name, some in self._runs(classes, order)
            ]
        except ShapeError as error:
            raise AnnotationError(f"{file}: {owner}: {error}") from error

    def _class_of(self, box: Element, track: Element, label: str) -> str | None:
        """Return the name of the class of a box, None if it has none; count the attributes that are not taken."""
        values = {node.get("name", ""): node.text for parent in (track, box) for node in parent.iterfind("attribute")}
        self.attributes.update(values)
        self.not_read["attributes"] += len(values.keys() - {self.attribute})
        if self.attribute is None:
            return label
        value = values.get(self.attribute)
        return None if value in _NO_VALUE else value

    def _runs(self, classes: list[str | None], order: Int64[np.ndarray, " N"]) -> Iterator[tuple[str, list[int]]]:
        """Yield the classes of a track, each with its boxes, in `order`; count the boxes that have none."""
        for name, rows in groupby(order.tolist(), key=classes.__getitem__):
            if name is None:
                self.not_read[f"boxes without a value of {self.attribute}"] += len(list(rows))
            else:
                yield name, list(rows)

    def _count_gaps(self, seen: Float64[np.ndarray, " N"], outside: Float64[np.ndarray, " M"]) -> None:
        """Count the frames on which a track has no box though nothing says that its actor is outside."""
        num_between = np.diff(seen) - 1
        has_outside = np.diff(np.searchsorted(outside, seen)) > 0
        num_frames = int(num_between[(num_between > 0) & ~has_outside].sum())
        self.not_read["frames between two boxes of a track, where CVAT's player interpolates"] += num_frames

    def _label_of(self, name: str) -> int:
        return self.labels.setdefault(name, len(self.labels))


def _box(file: Path, owner: str, node: Element) -> list[float]:
    """Return frame, corners and rotation in degrees."""
    frame = _frame(file, owner, node)
    try:
        values = [*(float(node.attrib[name]) for name in _CORNERS), float(node.get("rotation", 0))]
    except (KeyError, ValueError) as error:
        fail(file, f"{owner}: a box has {dict(node.attrib)!r:.200}; expected the numbers {', '.join(_CORNERS)}", error)
    if not all(abs(value) < _MAX_NUMBER for value in values):
        fail(file, f"{owner}: the box of frame {frame:.0f} has {dict(node.attrib)!r:.200}: no pixels of a video")
    return [frame, *values]


def _frame(file: Path, owner: str, node: Element) -> float:
    """Return the frame of a box."""
    text = node.get("frame", "")
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        fail(file, f"{owner}: a box has frame {text:.60}; frames are whole numbers from 0 on")
    return float(text)


def _frames_and_boxes(rows: Float64[np.ndarray, "T 6"]) -> tuple[Int64[np.ndarray, " T"], Float32[np.ndarray, "T 4"]]:
    return rows[:, 0].astype(np.int64), _upright(rows[:, 1:5], rows[:, 5]).astype(np.float32)


def _upright(corners: Float64[np.ndarray, "T 4"], degrees: Float64[np.ndarray, " T"]) -> Float64[np.ndarray, "T 4"]:
    """Return the upright boxes around boxes that are rotated about their centres."""
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    half = (corners[:, 2:] - corners[:, :2]) / 2
    cos, sin = np.abs(np.cos(np.radians(degrees))), np.abs(np.sin(np.radians(degrees)))
    around = np.stack([half[:, 0] * cos + half[:, 1] * sin, half[:, 0] * sin + half[:, 1] * cos], axis=1)
    return np.where(degrees[:, None] == 0, corners, np.concatenate([centre - around, centre + around], axis=1))


def fail(file: Path, reason: str, cause: Exception | None = None) -> NoReturn:
    """Raise an `AnnotationError` that names the file."""
    raise AnnotationError(f"{file}: {reason}") from cause
