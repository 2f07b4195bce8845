"""COCO's JSON for videos: that of TAO, and CocoVID of the MMTracking family; one file for several videos.

Sources of the format: Dave et al., TAO: A Large-Scale Benchmark for Tracking Any Object, ECCV 2020,
https://github.com/TAO-Dataset/tao; https://mmtracking.readthedocs.io. What is read of it::

    {"videos": [{"id": 1, "name": "a", "width": 320, "height": 240}],            CocoVID has no sizes here
     "images": [{"id": 5, "video_id": 1, "frame_index": 0, "width": 320, "height": 240}],    CocoVID: frame_id
     "categories": [{"id": 3, "name": "walk"}],
     "annotations": [{"image_id": 5, "category_id": 3, "track_id": 7,            CocoVID: instance_id
                      "bbox": [10.0, 20.5, 32.0, 79.0], "iscrowd": 0}]}          x, y, width, height in pixels

Both count frames from 0; some converters count from 1 (`first_frame`). In YouTube-VIS, which looks alike, objects have
masks and there are no images: it is not read. Classes are numbered from 0 in the order of the
ids of the categories.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stal.data.find_videos import video_key
from stal.data.formats.first_frame import find_first_frame
from stal.data.formats.join_boxes import log_dropped, tubes_of_boxes
from stal.data.formats.json_node import JsonNode, is_number, load_json, shorten
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, ShapeError
from stal.structures import Annotations, Video

_logger = logging.getLogger(__name__)


@dataclass
class _Rows:
    """What the file says of one video; boxes are rows of the four lists.

    Attributes:
        name: of the video, or of its file.
        size: (height, width), None until the video or an image says it.
        numbers: of the frames of the images, as the file has them.
    """

    name: str
    size: tuple[int, int] | None
    numbers: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    actors: list[int | None] = field(default_factory=list)


def read_coco_video_json(
    path: str | Path, *, source: VideoSource = VideoSource(), first_frame: int | None = None, split: str = "train"
) -> Annotations:
    """Read a file of COCO for videos: a tube for every track and class.

    Tubes are numbered by track and then by class, from 0 on in every video. If no annotation has a track, boxes on
    consecutive frames are joined by their overlap. Boxes around crowds are dropped and counted. The key of a video is
    its name without the suffix of a video.

    Args:
        path: the file.
        source: gives the length and rate of the videos, and sizes that the file does not say.
        first_frame: number of the first frame of a video, 0 or 1; None is 0 if any image has that number, and 1, which
            is logged, if all videos start with it.
        split: name that all videos get.

    Raises:
        DataNotFoundError: there is no such file, or a video is missing.
        VideoReadError: a video cannot be decoded, or has fewer frames.
        AnnotationError: the file is broken or of another format; the message names the place in it. Or the size of a
            video is not known, or frames may be numbered from 0 or from 1.
    """
    root = load_json(path)
    _refuse_youtube_vis(root)
    labels, classes = _read_categories(root)
    videos = _read_videos(root)
    frames = _read_images(root, videos)
    if first_frame is None:
        smallest = {rows.name: min(rows.numbers) for rows in videos.values() if rows.numbers}
        first_frame = find_first_frame(smallest, str(path))
    _check_numbers(root, frames, first_frame)
    num_crowds = 0
    for node in root.child("annotations").items():
        if node.child("iscrowd", optional=True).value in (1, True):
            num_crowds += 1
        else:
            _read_box(node, frames, labels, first_frame)
    if num_crowds:
        _logger.warning("%s: dropped %d boxes around crowds", path, num_crowds)
    has_actors = _has_actors(root, videos)
    dropped: Counter[str] = Counter()
    annotated = tuple(_video(rows, has_actors, first_frame, source, split, root, dropped) for rows in videos.values())
    log_dropped(_logger, root.file, dropped)
    return root.build(Annotations, classes=classes, videos=annotated)


def _refuse_youtube_vis(root: JsonNode) -> None:
    root.require_object()
    videos = root.value.get("videos")
    has_file_names = isinstance(videos, list) and any(isinstance(v, dict) and "file_names" in v for v in videos)
    if has_file_names and "images" not in root.value:
        root.fail("this is YouTube-VIS, whose objects have masks on the frames of a video; convert it to CocoVID")


def _read_categories(root: JsonNode) -> tuple[dict[int, int], tuple[str, ...]]:
    """Return the labels by category id, and the names of the classes."""
    names = _by_id(root.child("categories"))
    classes = tuple(names[number].child("name").text() for number in sorted(names))
    if len(set(classes)) < len(classes):
        root.child("categories").fail(f"names are not unique: {shorten(list(classes))}")
    return {number: label for label, number in enumerate(sorted(names))}, classes


def _by_id(node: JsonNode) -> dict[int, JsonNode]:
    """Return the objects of a list by their id."""
    objects: dict[int, JsonNode] = {}
    for item in node.items():
        number = item.child("id").integer()
        if number in objects:
            item.child("id").fail(f"the id {number} is there twice, first at {objects[number].place}")
        objects[number] = item
    return objects


def _read_videos(root: JsonNode) -> dict[int, _Rows]:
    videos = {}
    for number, node in _by_id(root.child("videos")).items():
        name = node.child("name" if "name" in node.value else "file_name").text()
        videos[number] = _Rows(name, _size(node))
    return videos


def _size(node: JsonNode) -> tuple[int, int] | None:
    """Return (height, width) if a video or an image says it."""
    height, width = (node.child(key, optional=True) for key in ("height", "width"))
    return None if height.value is None or width.value is None else (height.integer(), width.integer())


def _read_images(root: JsonNode, videos: Mapping[int, _Rows]) -> dict[int, tuple[_Rows, int]]:
    """Return the video of every image, and the number of its frame."""
    images = {}
    for number, node in _by_id(root.child("images")).items():
        video = node.child("video_id")
        if video.integer() not in videos:
            video.fail(f"there is no video {video.value}")
        rows, size = videos[video.value], _size(node)
        frame = node.child("frame_index" if "frame_index" in node.value else "frame_id")
        if frame.integer() < 0:
            frame.fail(f"got {frame.value}; frames are numbered from 0 or 1 on")
        if rows.size is not None and size not in (None, rows.size):
            node.fail(f"its size {size} (height, width) is not that of its video, {rows.size}")
        rows.size = rows.size or size
        rows.numbers.append(frame.value)
        images[number] = (rows, frame.value)
    return images


def _check_numbers(root: JsonNode, frames: Mapping[int, tuple[_Rows, int]], first_frame: int) -> None:
    """Fail if an image has a number before the first frame, or two images of a video have one number."""
    seen: dict[tuple[str, int], int] = {}
    for index, (image, (rows, number)) in enumerate(frames.items()):
        if number < first_frame:
            root.fail(
                f"images[{index}]: the number of its frame is {number}, but that of the first frame is {first_frame}"
            )
        other = seen.setdefault((rows.name, number), image)
        if other != image:
            root.fail(f"images[{index}]: is frame {number} of video {rows.name}, and so is the image {other}")


def _read_box(
    node: JsonNode, frames: Mapping[int, tuple[_Rows, int]], labels: Mapping[int, int], first_frame: int
) -> None:
    """Add the box of an annotation to those of its video."""
    image, category, box = node.child("image_id"), node.child("category_id"), node.child("bbox")
    if image.integer() not in frames:
        image.fail(f"there is no image {image.value}")
    if category.integer() not in labels:
        category.fail(f"there is no category {category.value}; there are {shorten(list(labels))}")
    if not (isinstance(box.value, list) and len(box.value) == 4 and all(map(is_number, box.value))):
        box.fail(f"got {shorten(box.value)}; expected four finite numbers [x, y, width, height]")
    x, y, width, height = box.value
    if width < 0 or height < 0:
        box.fail(f"got {shorten(box.value)}; width and height are not below 0")
    actor = node.child("track_id" if "track_id" in node.value else "instance_id", optional=True)
    rows, number = frames[image.value]
    rows.frames.append(number - first_frame)
    rows.boxes.append((x, y, x + width, y + height))
    rows.labels.append(labels[category.value])
    rows.actors.append(None if actor.value is None else actor.integer())


def _has_actors(root: JsonNode, videos: Mapping[int, _Rows]) -> bool:
    """Whether the annotations have tracks: all of them, or none."""
    actors = [actor for rows in videos.values() for actor in rows.actors]
    num_without = actors.count(None)
    if 0 < num_without < len(actors):
        root.child("annotations").fail(
            f"{num_without} of {len(actors)} have no track_id (or instance_id); all or none do"
        )
    return num_without == 0


def _video(
    rows: _Rows,
    has_actors: bool,
    first_frame: int,
    source: VideoSource,
    split: str,
    root: JsonNode,
    dropped: Counter[str],
) -> Video:
    num_frames = max(rows.numbers, default=first_frame) - first_frame + 1
    facts = source.facts(rows.name, num_frames=num_frames, owner=str(root.file), size=rows.size)
    frames, labels = np.array(rows.frames, np.int64), np.array(rows.labels, np.int64)
    boxes = np.array(rows.boxes, np.float64).reshape(-1, 4)
    actors = np.array(rows.actors, np.int64) if has_actors else None
    try:
        tubes = tubes_of_boxes(frames, boxes, labels, actors, dropped=dropped)
        key = video_key(rows.name)
        return Video(key, facts.path, facts.num_frames, facts.height, facts.width, facts.fps, tubes, split)
    except (ShapeError, AnnotationError) as error:
        raise AnnotationError(f"{root.file}: video {rows.name}: {error}") from error
