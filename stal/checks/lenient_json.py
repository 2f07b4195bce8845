"""Read the project's own JSON without judging its values, so that a check can count all that is wrong with them.

What has no place in a table is an error still: a missing key, a text where a number belongs, runs of frames that are
not as many as the boxes.
"""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from stal.checks.annotation_table import UNKNOWN_LABEL, AnnotationTable, VideoEntry
from stal.data.formats.json_node import FLOAT32_MAX, JsonNode, load_json
from stal.data.formats.short_text import shorten
from stal.data.formats.tubes_json import FORMAT, parse_boxes, parse_label
from stal.errors import AnnotationError


def read_table(path: str | Path) -> AnnotationTable:
    """Read an annotation file of this project, whatever its values are.

    Args:
        path: the JSON file; the videos that it names are not looked for.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is not JSON, of another format, or a value is of the wrong type or shape.
    """
    root = load_json(path)
    if not isinstance(root.value, dict) or root.value.get("format") != FORMAT:
        raise AnnotationError(
            f'{path}: this is no annotation file of this project, which has "format": "{FORMAT}"; others are brought '
            f"into it by `python tools/import_annotations.py --format FORMAT {path} --out tubes.json`"
        )
    classes = tuple(node.text() for node in root.child("classes").items())
    label_of = {name: label for label, name in reversed(list(enumerate(classes)))}  # the first of two of one name
    nodes = list(root.child("videos").items())
    tubes = [(v, tube) for v, node in enumerate(nodes) for tube in node.child("tubes").items()]
    names = [_label_name(tube.child("label")) for _, tube in tubes]
    frames = [_frames(tube) for _, tube in tubes]
    return AnnotationTable(
        classes=classes,
        videos=tuple(_video(node, label_of) for node in nodes),
        tube_videos=np.array([v for v, _ in tubes], np.int64),
        tube_ids=np.array([tube.child("id").integer() for _, tube in tubes], np.int64),
        tube_labels=np.array([label_of.get(name, UNKNOWN_LABEL) for name in names], np.int64),
        label_names=tuple(names),
        tube_of_row=np.repeat(np.arange(len(tubes)), [len(some) for some in frames]).astype(np.int64),
        frames=np.concatenate([np.zeros(0, np.int64), *frames]),
        boxes=np.concatenate([np.zeros((0, 4), np.float32), *(_boxes(tube.child("boxes")) for _, tube in tubes)]),
    )


def _video(node: JsonNode, label_of: dict[str, int]) -> VideoEntry:
    fps, scene, masks, keypoints = (node.child(key, optional=True) for key in ("fps", "scene", "masks", "keypoints"))
    folder = node.file.parent
    video_labels = node.child("labels", optional=True)
    return VideoEntry(
        key=node.child("key").text(),
        path=folder / node.child("path").text(),
        num_frames=node.child("num_frames").integer(),
        height=node.child("height").integer(),
        width=node.child("width").integer(),
        fps=None if fps.value is None else fps.number(),
        split=node.child("split").text(),
        masks_path=None if masks.value is None else folder / masks.text(),
        scene=None if scene.value is None else scene.text(),
        labels=()
        if video_labels.value is None
        else tuple(parse_label(name, label_of) for name in video_labels.items()),
        keypoints_path=None if keypoints.value is None else folder / keypoints.text(),
    )


def _label_name(node: JsonNode) -> str:
    """Return the class as a text; one that is written as a number is no name, and stands for no class."""
    return str(node.integer()) if isinstance(node.value, int) and not isinstance(node.value, bool) else node.text()


def _frames(tube: JsonNode) -> Int64[np.ndarray, " T"]:
    """Return the frames of the runs of a tube, which must be as many as its boxes before any is counted out."""
    node = tube.child("frames")
    runs = []
    for run in node.items():
        bounds = [bound.integer() for bound in run.items()]
        if len(bounds) != 2 or bounds[0] >= bounds[1]:
            run.fail(f"got {shorten(run.value)}; expected a run [start, stop) of frames, start < stop")
        runs.append(bounds)
    num_boxes = sum(1 for _ in tube.child("boxes").items())
    if (num_frames := sum(stop - start for start, stop in runs)) != num_boxes:
        tube.child("boxes").fail(f"{num_boxes} boxes for {num_frames} frames")
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(start, stop, dtype=np.int64) for start, stop in runs)])


def _boxes(node: JsonNode) -> Float32[np.ndarray, "T 4"]:
    try:
        return parse_boxes(node)
    except AnnotationError:  # one that is of numbers, but not of finite ones, can be counted
        return np.array([_box(row) for row in node.items()], np.float32).reshape(-1, 4)


def _box(node: JsonNode) -> list[int | float]:
    values = node.value
    if not isinstance(values, list) or len(values) != 4 or not {type(value) for value in values} <= {int, float}:
        node.fail(f"expected four numbers [x1, y1, x2, y2], got {shorten(values)}")
    return [_within_float32(value) for value in values]


def _within_float32(value: int | float) -> int | float:
    """Return a number, or infinity for one that is too large; NaN, which Python's JSON has too, stays what it is."""
    return math.copysign(math.inf, 1 if value > 0 else -1) if abs(value) > FLOAT32_MAX else value
