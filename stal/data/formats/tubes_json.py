"""The annotation format of this project: one JSON file for a whole data set, with every tube of every video.

Layout (`null` is allowed for `fps`, `scene`, `masks` and `keypoints`; they and `labels` may be left out; every other
key is required):

    {"format": "stal-tubes", "version": 1,
     "classes": ["walk", "jump"],                     names, in the order of the labels
     "videos": [{
        "key": "train/00000",                         unique name of the video
        "path": "videos/train/00000.mp4",             relative to the folder of the JSON file, with forward slashes
        "num_frames": 40, "height": 120, "width": 160, "fps": 12.5,
        "split": "train",
        "scene": "beach",                             name of the scene
        "labels": ["walk", "jump"],                   classes of the video as a whole, see `Video.labels`
        "masks": "masks/train/00000.npz",             silhouettes as `Video.masks_path` describes them, relative too
        "keypoints": "keypoints/train/00000.npz",     joints of the persons, a file as `read_keypoints` takes it
        "tubes": [{
           "id": 0, "label": "walk",                  the class by its name
           "frames": [[0, 12], [15, 40]],             runs [start, stop) of 0-based frames, in order
           "boxes": [[10.0, 20.5, 42.0, 99.0], ...]   xyxy half-open pixels, one row for every frame of the runs
        }]
     }]}

Boxes are written so that reading gives back the same float32 values. `tubes.schema.json` beside this file describes the
layout as a JSON Schema (Draft 2020-12); the reader refuses what it refuses, and moreover what it cannot express:
classes that are not in the list, runs that overlap or leave the video, another number of boxes than frames, boxes
without area.
"""

import json
import os
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from stal.data.formats.json_node import FLOAT32_MAX, JsonNode, load_json
from stal.data.formats.short_text import shorten
from stal.data.formats.whole_file import open_whole
from stal.errors import AnnotationError
from stal.structures import Annotations, Tube, Video

FORMAT = "stal-tubes"
VERSION = 1

_FILE_KEYS = ("format", "version", "classes", "videos")
_VIDEO_KEYS = (
    *("key", "path", "num_frames", "height", "width", "fps", "split"),
    *("scene", "labels", "masks", "keypoints", "tubes"),
)
_TUBE_KEYS = ("id", "label", "frames", "boxes")


def read_tubes_json(path: str | Path, split: str | None = None) -> Annotations:
    """Read an annotation file of this project.

    The video and mask files that it names are not looked for here.

    Args:
        path: the JSON file.
        split: keep the videos of this split only; None keeps all.

    Returns:
        The annotations, with paths joined to the folder of `path`.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: the file is not JSON, or not of this format; the message names the place in the file.
    """
    root = load_json(
        path,
        missing="the scenes data set is made by `python tools/make_scenes.py data/scenes`, see data/README.md",
    )
    annotations = _parse_file(root)
    if split is None:
        return annotations
    try:
        return annotations.of_split(split)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error


def write_tubes_json(annotations: Annotations, path: str | Path) -> None:
    """Write annotations, one line a video, so that `read_tubes_json` gives them back.

    One video after the other is converted, and the file is there only when it is complete.

    Args:
        annotations: the data set; its tubes are annotated ones, without scores.
        path: the JSON file; its folder is made if there is none.

    Raises:
        AnnotationError: a tube has a score, two classes have one name, or a rate is not above 0, which the format
            cannot hold.
        ConfigError: the file cannot be written.
    """
    path = Path(path)
    classes = annotations.classes
    if len(set(classes)) < len(classes):
        raise AnnotationError(f"{path}: class names are not unique: {shorten(list(classes))}")
    header = json.dumps({"format": FORMAT, "version": VERSION, "classes": classes})
    with open_whole(path) as file:
        file.write(f'{header[:-1]}, "videos": ['.encode())
        for number, video in enumerate(annotations.videos):
            file.write(b",\n" if number else b"\n")
            file.write(json.dumps(_video_to_json(video, classes, path.parent)).encode())
        file.write(b"\n]}\n")


def _video_to_json(video: Video, classes: tuple[str, ...], folder: Path) -> dict[str, Any]:
    if video.fps is not None and not 0 < video.fps < np.inf:
        raise AnnotationError(f"video {video.key}: fps {video.fps} must be above 0, or None where it is not known")
    return {
        "key": video.key,
        "path": _relative(video.path, folder),
        "num_frames": video.num_frames,
        "height": video.height,
        "width": video.width,
        "fps": video.fps,
        "split": video.split,
        "scene": video.scene,
        "labels": [classes[label] for label in video.labels],
        "masks": None if video.masks_path is None else _relative(video.masks_path, folder),
        **({} if video.keypoints_path is None else {"keypoints": _relative(video.keypoints_path, folder)}),
        "tubes": [_tube_to_json(tube, classes, video.key) for tube in video.tubes],
    }


def _tube_to_json(tube: Tube, classes: tuple[str, ...], key: str) -> dict[str, Any]:
    if tube.score is not None:
        raise AnnotationError(
            f"video {key}: tube {tube.id} has a score, {tube.score}; only annotated tubes are written"
        )
    return {
        "id": tube.id,
        "label": classes[tube.label],
        "frames": _frames_to_runs(tube.frames),
        "boxes": tube.boxes.tolist(),
    }


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _frames_to_runs(frames: Int64[np.ndarray, " T"]) -> list[list[int]]:
    """Return the runs [start, stop) of consecutive frames."""
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    return [[int(run[0]), int(run[-1]) + 1] for run in np.split(frames, breaks)]


def _parse_file(root: JsonNode) -> Annotations:
    if not isinstance(root.value, dict) or root.value.get("format") != FORMAT:
        root.fail(
            f'expected an object with "format": "{FORMAT}", got {shorten(root.value)}; other formats are brought into '
            "this one by `python tools/import_annotations.py`"
        )
    version = root.child("version")
    if version.integer() != VERSION:
        version.fail(f"version {version.value} of the format; this release of stal reads version {VERSION}")
    root.require_object(_FILE_KEYS)
    classes = [node.text() for node in root.child("classes").items()]
    if len(set(classes)) != len(classes):
        root.child("classes").fail(f"class names are not unique: {shorten(classes)}")
    labels = {name: label for label, name in enumerate(classes)}
    videos = [_parse_video(node, labels) for node in root.child("videos").items()]
    return root.build(Annotations, classes=tuple(classes), videos=tuple(videos))


def _parse_video(node: JsonNode, labels: dict[str, int]) -> Video:
    node.require_object(_VIDEO_KEYS)
    fps, scene, masks, keypoints = (node.child(key, optional=True) for key in ("fps", "scene", "masks", "keypoints"))
    if fps.value is not None and fps.number() <= 0:
        fps.fail(f"got {fps.value}; expected frames per second, or null where they are not known")
    num_frames = node.child("num_frames").integer()
    folder = node.file.parent
    video_labels = node.child("labels", optional=True)
    return node.build(
        Video,
        key=node.child("key").text(),
        path=folder / node.child("path").text(),
        num_frames=num_frames,
        height=node.child("height").integer(),
        width=node.child("width").integer(),
        fps=None if fps.value is None else fps.number(),
        tubes=tuple(_parse_tube(tube, labels, num_frames) for tube in node.child("tubes").items()),
        split=node.child("split").text(),
        masks_path=None if masks.value is None else folder / masks.text(),
        scene=None if scene.value is None else scene.text(),
        labels=() if video_labels.value is None else tuple(parse_label(name, labels) for name in video_labels.items()),
        keypoints_path=None if keypoints.value is None else folder / keypoints.text(),
    )


def _parse_tube(node: JsonNode, labels: dict[str, int], num_frames: int) -> Tube:
    node.require_object(_TUBE_KEYS)
    label = parse_label(node.child("label"), labels)
    frames = _parse_frames(node.child("frames"), num_frames)
    boxes = parse_boxes(node.child("boxes"))
    if len(boxes) != len(frames):
        node.child("boxes").fail(f"{len(boxes)} boxes for {len(frames)} frames")
    return node.build(Tube, label=label, frames=frames, boxes=boxes, id=node.child("id").integer())


def parse_label(node: JsonNode, labels: dict[str, int]) -> int:
    """Return the class that a node names."""
    if node.text() not in labels:
        node.fail(f"unknown class {node.value!r}; the classes are {', '.join(labels)}")
    return labels[node.value]


def _parse_frames(node: JsonNode, num_frames: int) -> Int64[np.ndarray, " T"]:
    runs = []
    end = 0
    for run in node.items():
        bounds = [bound.integer() for bound in run.items()]
        if len(bounds) != 2 or not end <= bounds[0] < bounds[1] <= num_frames:
            run.fail(
                f"got {shorten(run.value)}; expected a run [start, stop) of 0-based frames, start < stop, "
                f"after the run before it (it ends at {end}) and within the {num_frames} frames of the video"
            )
        end = bounds[1]
        runs.append(np.arange(*bounds, dtype=np.int64))
    if not runs:
        node.fail("a tube has at least one frame")
    return np.concatenate(runs)


def parse_boxes(node: JsonNode) -> Float32[np.ndarray, "T 4"]:
    """Return the rows of a list of boxes; that they are finite numbers is all that is checked."""
    boxes = _rows_of_four(node.value)
    if boxes is not None:
        return boxes
    row = next(row for row in node.items() if _rows_of_four([row.value]) is None)
    row.fail(f"expected four finite numbers [x1, y1, x2, y2], got {shorten(row.value)}")


def _rows_of_four(rows: Any) -> Float32[np.ndarray, "T 4"] | None:
    """Return rows of four numbers that float32 holds, or None if there is anything else in them.

    All are checked at once: a file has more boxes than of all else together, and one after the other takes far longer.
    """
    if not isinstance(rows, list) or set(map(type, rows)) - {list} or set(map(len, rows)) - {4}:
        return None
    values = list(chain.from_iterable(rows))
    if set(map(type, values)) - {int, float}:  # a bool is neither
        return None
    try:
        boxes = np.array(values, np.float64).reshape(-1, 4)
    except OverflowError:  # an integer above all floats
        return None
    return boxes.astype(np.float32) if (np.abs(boxes) <= FLOAT32_MAX).all() else None
