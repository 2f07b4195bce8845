"""Projects of the VIA 3 video annotator: one JSON file for several videos, in which a box stands on a point in time.

Source of the format: Dutta and Zisserman, The VIA Annotation Software for Images, Audio and Video, ACM Multimedia 2019;
https://gitlab.com/vgg/via, CodeDoc.md of version 3. What is read of it::

    {"attribute": {"1": {"aname": "action", "anchor_id": "FILE1_Z1_XY1", "type": 4, "options": {"0": "walk"}}},
     "file": {"1": {"fname": "a.mp4", ...}},
     "view": {"1": {"fid_list": ["1"]}},
     "metadata": {"1_mR8ksAa": {"vid": "1",                      the view, and so the file
                                "flg": 0,                        1 is deleted
                                "z": [2.042],                    seconds; two are a segment of time
                                "xy": [2, 10, 20, 40, 50],       2 is a rectangle: x, y, width, height in pixels
                                "av": {"1": "0"}}}}              option by attribute

The time is that of a paused player, which shows the last frame that has begun, rounded to at least milliseconds. Which
one that is, the times of the frames of the video say, or without the videos a fixed rate. VIA knows no actors, so boxes
on consecutive frames are joined by their overlap, unless an attribute tells who it is.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stal.data.find_videos import video_key
from stal.data.formats.join_boxes import log_dropped, tubes_of_boxes
from stal.data.formats.json_node import JsonNode, is_number, load_json, shorten
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.structures import Annotations, Video

_TEXT, _CHECKBOX = 1, 2  # types of attributes: a text as it is, and any number of options with commas between
_RECTANGLE = 2
_DELETED = 1
_MAX_SECONDS = 1e9

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Attribute:
    """An attribute of boxes.

    Attributes:
        id: key of its values in `av`.
        name: what people see.
        kind: number of the type.
        options: texts by id of the option; empty for a text.
    """

    id: str
    name: str
    kind: int
    options: Mapping[str, str]

    def values(self, node: JsonNode) -> list[str]:
        """Return the chosen texts of a box, none if there is no value."""
        text = node.child(self.id, optional=True)
        if text.value in (None, ""):
            return []
        if self.kind == _TEXT:
            return [text.text()]
        chosen = text.text().split(",") if self.kind == _CHECKBOX else [text.text()]
        unknown = [option for option in chosen if option not in self.options]
        if unknown:
            text.fail(f"attribute {self.name!r} has no option {unknown[0]!r}; it has {shorten(dict(self.options))}")
        return [self.options[option] for option in dict.fromkeys(chosen)]


@dataclass(frozen=True)
class _Box:
    """A box on a point in time."""

    seconds: float
    xyxy: tuple[float, float, float, float]
    classes: list[str]
    actor: str


def read_via3_json(
    path: str | Path,
    *,
    attribute: str | None = None,
    identity: str | None = None,
    source: VideoSource = VideoSource(),
    split: str = "train",
) -> Annotations:
    """Read a project of VIA 3; segments of time, shapes that are no rectangles and boxes without a class are counted.

    The key of a video is the name of its file without the suffix.

    Args:
        path: the project.
        attribute: name of the attribute that is the class; None takes the only one that boxes have beside `identity`.
            Its options are the classes, in their order; a text's values are, in alphabetical order.
        identity: name of the attribute that tells the actors of a video apart; None joins boxes by their overlap.
        source: gives the videos, and so the frame at every time; or their size, and their rate, which videos need too
            whose frames have no times, such as folders of frames.
        split: name that all videos get.

    Raises:
        DataNotFoundError: there is no such file, or a video is missing.
        VideoReadError: a video cannot be decoded, or ends before its annotation.
        AnnotationError: the file is broken or of another format; the message names the place in it. Or the size or the
            rate of a video is not known.
        ConfigError: there is no such attribute, or several and none was chosen.
    """
    root = load_json(path)
    _refuse_via2(root)
    for key in ("attribute", "file", "view", "metadata"):
        root.child(key).require_object()
    actor_attribute = None if identity is None else _choose_attribute(root, identity, None)
    class_attribute = _choose_attribute(root, attribute, actor_attribute)
    boxes = _file_names(root)
    not_read: Counter[str] = Counter()
    for _, node in root.child("metadata").entries():
        box = _read_box(node, class_attribute, actor_attribute, not_read)
        if box is not None:
            boxes[_file_name(root, node.child("vid"))].append(box)
    if not_read:
        _logger.warning("%s: not read: %s", path, ", ".join(f"{n} {what}" for what, n in sorted(not_read.items())))
    classes = list(class_attribute.options.values()) or sorted(
        {name for rows in boxes.values() for box in rows for name in box.classes}
    )
    labels = {name: label for label, name in enumerate(classes)}
    dropped: Counter[str] = Counter()
    videos = tuple(
        _video(name, rows, labels, identity is not None, source, split, root, dropped) for name, rows in boxes.items()
    )
    log_dropped(_logger, root.file, dropped)
    return root.build(Annotations, classes=tuple(classes), videos=videos)


def _refuse_via2(root: JsonNode) -> None:
    root.require_object()
    if "_via_img_metadata" in root.value or any(isinstance(v, dict) and "regions" in v for v in root.value.values()):
        root.fail(
            "this is of VIA 2, which annotates images and knows no times of a video; annotate the video in VIA 3, or "
            "export its frames as COCO and add the videos (coco-video)"
        )


def _file_names(root: JsonNode) -> dict[str, list[_Box]]:
    """Return an empty list for every file, by its name."""
    boxes: dict[str, list[_Box]] = {}
    for _, node in root.child("file").entries():
        name = node.child("fname")
        if name.text() in boxes:
            name.fail(f"two files are called {name.value!r}; the names of files are the keys of videos")
        boxes[name.value] = []
    return boxes


def _choose_attribute(root: JsonNode, name: str | None, other: _Attribute | None) -> _Attribute:
    """Return the attribute of boxes with this name, or else the only one that is not `other`."""
    nodes = {
        key: node
        for key, node in root.child("attribute").entries()
        if node.child("anchor_id").text().endswith("_XY1") and (other is None or key != other.id)
    }
    names = {key: node.child("aname").text() for key, node in nodes.items()}
    chosen = [key for key in nodes if name in (None, names[key])]
    if len(chosen) != 1:
        wanted = "none was chosen" if name is None else f"not one called {name!r}"
        raise ConfigError(
            f"{root.file}: boxes have the attributes {list(names.values())}, {wanted}; choose one by name"
        )
    node = nodes[chosen[0]]
    kind = node.child("type").integer()
    options = {} if kind == _TEXT else {key: option.text() for key, option in node.child("options").entries()}
    if len(set(options.values())) < len(options) or (kind != _TEXT and not options):
        node.child("options").fail(f"got {shorten(options)}; expected options of different names")
    return _Attribute(chosen[0], names[chosen[0]], kind, options)


def _file_name(root: JsonNode, view: JsonNode) -> str:
    """Return the name of the file of a view."""
    files = list(root.child("view").child(view.text()).child("fid_list").items())
    if len(files) != 1:
        view.fail(f"view {view.value!r} is of {len(files)} files; expected one video")
    if not isinstance(files[0].value, str | int):
        files[0].fail(f"expected the id of a file, got {shorten(files[0].value)}")
    return root.child("file").child(str(files[0].value)).child("fname").text()


def _read_box(
    node: JsonNode, class_attribute: _Attribute, actor_attribute: _Attribute | None, not_read: Counter[str]
) -> _Box | None:
    """Return the box that a metadata describes, or count what it is instead."""
    times = [time.number() for time in node.child("z").items()]
    shape = [number.number() for number in node.child("xy").items()]
    classes = class_attribute.values(node.child("av"))
    if node.child("flg").integer() & _DELETED:
        not_read["deleted entries"] += 1
    elif len(times) != 1:
        not_read["segments of time" if times else "entries without a time"] += 1
    elif shape[:1] != [_RECTANGLE]:
        not_read["shapes that are no rectangles"] += 1
    elif not classes:
        not_read["boxes without a class"] += 1
    else:
        x, y, width, height = _rectangle(node.child("xy"))
        actors = [] if actor_attribute is None else actor_attribute.values(node.child("av"))
        if actor_attribute is not None and len(actors) != 1:
            node.child("av").fail(f"the box has no single value of {actor_attribute.name!r}, its actor")
        if not 0 <= times[0] < _MAX_SECONDS:
            node.child("z").fail(f"got {shorten(times[0])}; expected seconds from 0 on")
        return _Box(times[0], (x, y, x + width, y + height), classes, "".join(actors))
    return None


def _rectangle(node: JsonNode) -> list[float]:
    if len(node.value) != 5 or not all(map(is_number, node.value)) or min(node.value[3:]) < 0:
        node.fail(f"got {shorten(node.value)}; expected [2, x, y, width, height]")
    return [float(value) for value in node.value[1:]]


def _video(
    file_name: str,
    boxes: list[_Box],
    labels: Mapping[str, int],
    has_actors: bool,
    source: VideoSource,
    split: str,
    root: JsonNode,
    dropped: Counter[str],
) -> Video:
    rows = [(box, labels[name]) for box in boxes for name in box.classes]
    seconds = np.array([box.seconds for box, _ in rows], np.float64)
    facts, frames = source.facts_at(file_name, seconds, fps=source.fps, owner=str(root.file))
    corners = np.array([box.xyxy for box, _ in rows], np.float64).reshape(-1, 4)
    numbers = np.array([label for _, label in rows], np.int64)
    names = [box.actor for box, _ in rows]
    actors = np.unique(names, return_inverse=True)[1].astype(np.int64) if has_actors else None
    try:
        tubes = tubes_of_boxes(frames, corners, numbers, actors, dropped=dropped)
        return Video(
            video_key(file_name), facts.path, facts.num_frames, facts.height, facts.width, facts.fps, tubes, split
        )
    except (ShapeError, AnnotationError) as error:
        raise AnnotationError(f"{root.file}: video {file_name}: {error}") from error
