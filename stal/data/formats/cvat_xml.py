"""CVAT for video 1.1: the XML file that the annotation tool CVAT exports and imports, one for each video.

Source of the format: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat. What is read of it::

    <annotations>
      <version>1.1</version>
      <meta><task>                            or <job>
        <name>v_Biking_g01_c01</name>         the key of the video
        <size>164</size> <stop_frame>163</stop_frame>
        <subset>train</subset>                its split
        <labels><label><name>Biking</name></label></labels>
        <original_size><width>320</width><height>240</height></original_size>
        <source>v_Biking_g01_c01.avi</source>
      </task></meta>
      <track id="0" label="Biking">
        <box frame="0" outside="0" keyframe="1" xtl="10.00" ytl="20.50" xbr="42.00" ybr="99.00"/>
        <box frame="1" outside="1" .../>      from here on, the actor is not visible
      </track>
    </annotations>

Frames are 0-based frames of the video, and corners are continuous pixels. CVAT writes a box for every frame, also for
those that it interpolated, so only written boxes are read. Other shapes are not, and neither are attributes.
"""

import logging
import re
from collections import Counter
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from jaxtyping import Float64

from stal.data.find_videos import VIDEO_SUFFIXES, video_key
from stal.data.formats.video_source import VideoSource
from stal.data.formats.xml_file import load_xml
from stal.data.video.reader import frame_rule
from stal.errors import AnnotationError, DataNotFoundError, ShapeError
from stal.structures import Annotations, Tube, Video

_MAX_FRAME = 2**31
_NOT_IN_XML = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")

_logger = logging.getLogger(__name__)


def read_cvat_xml(path: str | Path, *, source: VideoSource = VideoSource(), split: str = "train") -> Annotations:
    """Read a file of CVAT, or all `.xml` files below a folder: a tube for every track that is visible somewhere.

    A tube has the id of its track. Classes are numbered in the order in which the files name them.

    Args:
        path: the file, or the folder.
        source: gives the length, size and rate of the videos; not needed for a file that has the first two, as those
            from CVAT do.
        split: name that videos get whose file has no subset.

    Raises:
        DataNotFoundError: there is no such file, no file in the folder, or a video is missing.
        VideoReadError: a video cannot be decoded, or has other frames than its file was made for.
        AnnotationError: a file is broken or of another format, such as that of a whole project, or the size of a video
            is not known.
    """
    path = Path(path)
    files = sorted(path.rglob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise DataNotFoundError(f"{path}: there is no .xml file in this folder")
    labels: dict[str, int] = {}
    not_read: Counter[str] = Counter()
    videos = tuple(_read_video(file, labels, not_read, source, split) for file in files)
    if not_read:
        _logger.warning("%s: not read: %s", path, ", ".join(f"{n} {what}" for what, n in sorted(not_read.items())))
    return Annotations(tuple(labels), videos)


def write_cvat_xml(annotations: Annotations, path: str | Path) -> None:
    """Write files that CVAT imports into tasks of the same videos and labels.

    Reading them back gives the same tubes and splits. Rates, scenes and silhouettes are not in the format, and neither
    are the paths of videos: their names are.

    Args:
        annotations: the data set.
        path: a file ending with `.xml` for a single video, or else a folder that gets `<key>.xml` for every video.

    Raises:
        AnnotationError: a single file is to hold several videos, a key is no name of a file in the folder, a name holds
            a character that XML does not allow, or a tube has a score.
    """
    path = Path(path)
    is_file = path.suffix == ".xml"
    if is_file and len(annotations.videos) != 1:
        raise AnnotationError(
            f"{path}: a file of CVAT is of one video, but there are {len(annotations.videos)}; name a folder instead"
        )
    for video in annotations.videos:
        file = path if is_file else path / f"{video.key}.xml"
        if not is_file and (Path(video.key).is_absolute() or ".." in Path(video.key).parts):
            raise AnnotationError(f"video {video.key}: its file would not be in {path}; rename the video")
        file.parent.mkdir(parents=True, exist_ok=True)
        root = _video_to_xml(video, annotations.classes)
        ElementTree.indent(root)
        file.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _read_video(file: Path, labels: dict[str, int], not_read: Counter[str], source: VideoSource, split: str) -> Video:
    """Read one file; add its classes to `labels`, and what it holds beside boxes to `not_read`."""
    root = load_xml(file)
    if root.tag != "annotations":
        _fail(file, f"expected CVAT's <annotations>, got <{root.tag}>")
    if root.find("image") is not None:
        _fail(file, "this is `CVAT for images`, which has no tracks; export it as `CVAT for video 1.1`")
    if root.find("meta/project") is not None:
        _fail(file, "this is the file of a whole project, whose frames are of several videos; export every task alone")
    task = next((node for node in root.iterfind("meta/*") if node.tag in ("task", "job")), Element("task"))
    for label in task.iterfind("labels/label/name"):
        labels.setdefault(label.text or "", len(labels))
    tubes = tuple(tube for track in root.iterfind("track") for tube in _read_track(file, track, labels, not_read))

    last = max((int(tube.frames[-1]) for tube in tubes), default=0)
    name = task.findtext("source") or task.findtext("name") or file.stem
    num_frames = _whole(file, task, "stop_frame", -1) + 1 or _whole(file, task, "size", last + 1)
    size = (_whole(file, task, "original_size/height", 0), _whole(file, task, "original_size/width", 0))
    facts = source.facts(name, num_frames=num_frames, owner=str(file), size=size if all(size) else None)
    if num_frames > facts.num_frames:
        frame_rule(facts.path, num_frames)  # raises unless the frames of the file can be found in the video
    try:
        return Video(
            key=task.findtext("name") or video_key(name),
            path=facts.path,
            num_frames=max(num_frames, facts.num_frames),
            height=facts.height,
            width=facts.width,
            fps=facts.fps,
            tubes=tubes,
            split=task.findtext("subset") or split,
        )
    except AnnotationError as error:
        raise AnnotationError(f"{file}: {error}") from error


def _read_track(file: Path, track: Element, labels: dict[str, int], not_read: Counter[str]) -> list[Tube]:
    """Return the tube of a track, or none if it has no visible box."""
    owner = f"track {track.get('id')}"
    label, number = track.get("label"), track.get("id", "")
    if label is None or not re.fullmatch(r"\d{1,15}", number):
        _fail(file, f"{owner} (label {label!r}) must have a label and a number as id")
    not_read.update(f"{node.tag} of tracks" for node in track if node.tag != "box")
    boxes = [node for node in track.iterfind("box") if node.get("outside") != "1"]
    if not boxes:
        not_read["tracks without a visible box"] += 1
        return []
    not_read.update("attributes" for node in boxes for _ in node)
    table = np.array([_box(file, owner, node) for node in boxes])
    table = table[np.argsort(table[:, 0], kind="stable")]
    corners = _upright(table[:, 1:5], table[:, 5])
    try:
        label_number = labels.setdefault(label, len(labels))
        return [Tube(label_number, table[:, 0].astype(np.int64), corners.astype(np.float32), int(number))]
    except ShapeError as error:
        raise AnnotationError(f"{file}: {owner}: {error}") from error


def _box(file: Path, owner: str, node: Element) -> list[float]:
    """Return frame, corners and rotation in degrees."""
    try:
        values = [float(node.attrib[name]) for name in ("frame", "xtl", "ytl", "xbr", "ybr")]
        rotation = float(node.get("rotation", 0))
    except (KeyError, ValueError) as error:
        _fail(
            file,
            f"{owner}: a box has {dict(node.attrib)!r:.200}; expected the numbers frame, xtl, ytl, xbr, ybr",
            error,
        )
    if not (0 <= values[0] < _MAX_FRAME and values[0] == int(values[0])):
        _fail(file, f"{owner}: a box has frame {node.get('frame')}; frames are whole numbers from 0 on")
    if not all(abs(value) < _MAX_FRAME for value in (*values, rotation)):
        _fail(
            file, f"{owner}: the box of frame {node.get('frame')} has {dict(node.attrib)!r:.200}: no pixels of a video"
        )
    return [*values, rotation]


def _upright(corners: Float64[np.ndarray, "T 4"], degrees: Float64[np.ndarray, " T"]) -> Float64[np.ndarray, "T 4"]:
    """Return the upright boxes around boxes that are rotated about their centres."""
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    half = (corners[:, 2:] - corners[:, :2]) / 2
    cos, sin = np.abs(np.cos(np.radians(degrees))), np.abs(np.sin(np.radians(degrees)))
    around = np.stack([half[:, 0] * cos + half[:, 1] * sin, half[:, 0] * sin + half[:, 1] * cos], axis=1)
    return np.where(degrees[:, None] == 0, corners, np.concatenate([centre - around, centre + around], axis=1))


def _whole(file: Path, node: Element, place: str, default: int) -> int:
    """Return a whole number from 0 on; `default` if it is not there."""
    text = node.findtext(place)
    if text is None:
        return default
    if not re.fullmatch(r"\s*\d{1,9}\s*", text):
        _fail(file, f"meta/{node.tag}/{place} is {text!r:.60}, not a whole number")
    return int(text)


def _fail(file: Path, reason: str, cause: Exception | None = None) -> NoReturn:
    raise AnnotationError(f"{file}: {reason}") from cause


def _video_to_xml(video: Video, classes: tuple[str, ...]) -> Element:
    for text in (video.key, video.split, *classes):
        if _NOT_IN_XML.search(text):
            raise AnnotationError(f"video {video.key!r}: XML does not hold all characters of {text!r}; rename it")
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    facts = {
        "name": video.key,
        "size": video.num_frames,
        "mode": "interpolation",
        "overlap": 0,
        "start_frame": 0,
        "stop_frame": video.num_frames - 1,
        "subset": video.split,
    }
    for tag, value in facts.items():
        SubElement(task, tag).text = str(value)
    labels = SubElement(task, "labels")
    for name in classes:
        SubElement(SubElement(labels, "label"), "name").text = name
    size = SubElement(task, "original_size")
    SubElement(size, "width").text = str(video.width)
    SubElement(size, "height").text = str(video.height)
    suffix = video.path.suffix if video.path.suffix.lower() in VIDEO_SUFFIXES else ""
    SubElement(task, "source").text = video_key(video.key) + suffix
    for tube in video.tubes:
        root.append(_tube_to_xml(tube, classes[tube.label], video))
    return root


def _tube_to_xml(tube: Tube, label: str, video: Video) -> Element:
    """Return a track whose frames are all key frames, so that CVAT interpolates nothing."""
    if tube.score is not None or tube.id < 0:
        raise AnnotationError(
            f"video {video.key}: tube {tube.id} has score {tube.score}; tracks are annotated ones, with an id from 0 on"
        )
    track = Element("track", id=str(tube.id), label=label, source="manual")
    ends = np.append(np.diff(tube.frames) != 1, tube.frames[-1] + 1 < video.num_frames)
    for frame, corners, ends_here in zip(tube.frames.tolist(), tube.boxes.astype(str).tolist(), ends, strict=True):
        box = dict(zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True), occluded="0", keyframe="1", z_order="0")
        SubElement(track, "box", box, frame=str(frame), outside="0")
        if ends_here:
            SubElement(track, "box", box, frame=str(frame + 1), outside="1")
    return track
