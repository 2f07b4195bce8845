"""The original annotations of UCF101-24: ViPER files of the THUMOS challenge, one for a video.

Source: http://www.thumos.info, and http://viper-toolkit.sourceforge.net for the format. Below `data/sourcefile` stands
an object for every actor, with boxes and actions by spans of frames, which are 1-based and include their ends::

    <object framespan="1:139" id="0" name="PERSON">
        <attribute name="Location">
            <data:bbox framespan="1:3 5:5" height="134" width="115" x="-4" y="20"/> ...
        <attribute name="biking">
            <data:bvalue framespan="1:138" value="true"/> ...

A file has an attribute for each of many actions. That of the video's own class says when the actor is active, and
there the actor has a tube: one for every run of frames, as the corrected annotations have it (`read_pyannot`). Measured
against those, the span of an object and its file's NUMFRAMES are not to be trusted: boxes go beyond both, and
NUMFRAMES is one less than the number of frames in four of five files.
"""

import logging
import re
from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import Float32, Int64

from stal.data.formats.short_text import shorten
from stal.data.formats.ucf24_annotations import CLASSES
from stal.data.formats.video_source import VideoSource
from stal.data.formats.xml_file import load_xml
from stal.data.video.reader import VideoFacts
from stal.errors import AnnotationError, DataNotFoundError
from stal.structures import Annotations, Tube, Video

# The classes that UCF11 had already are called as there.
_UCF11_NAMES = {
    "Basketball": "basketball_shooting",
    "Biking": "biking",
    "Diving": "diving",
    "GolfSwing": "golf_swing",
    "HorseRiding": "horse_riding",
    "SoccerJuggling": "soccer_juggling",
    "TennisSwing": "tennis_swing",
    "TrampolineJumping": "trampoline_jumping",
    "VolleyballSpiking": "volleyball_spiking",
    "WalkingWithDog": "walking",
}
_NAME = re.compile(r"v_(?P<class_name>\w+)_g\d+_c\d+", re.ASCII)
_SPAN = re.compile(r"(\d{1,9}):(\d{1,9})", re.ASCII)
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_MAX_FRAMES = 100_000  # of the spans of an actor; the longest video has 900 frames
_MAX_BYTES = 1 << 24  # of a file; the largest here has 70 kB
_MAX_COORDINATE = 1e6
_MAX_ERRORS = 9  # that are listed

_logger = logging.getLogger(__name__)


def read_xgtf(path: str | Path, *, source: VideoSource = VideoSource(), split: str = "train") -> Annotations:
    """Read the original annotations of UCF101-24.

    What is left out is counted in the log: boxes without area, persons who do not do the action of the video, other
    actions and objects. Boxes that reach beyond the image are kept, and counted too.

    Args:
        path: one file `v_<Class>_gNN_cNN.xgtf`, or a folder of them or of `<Class>/*.xgtf`.
        source: what the files do not say of their videos: the size, and the number of frames. Without videos that is
            taken for NUMFRAMES + 1: reading repeats the last frame of a video that is one shorter.
        split: name of the split that all videos get.

    Returns:
        The videos by the keys `<Class>/<name>`, of all 24 classes in alphabetical order.

    Raises:
        DataNotFoundError: there is no such file, or no file in the folder, or a video is not in the source.
        VideoReadError: a video cannot be decoded.
        AnnotationError: files are broken (all of them are named), or the size of a video is not known.
    """
    path = Path(path)
    files = sorted(path.rglob("*.xgtf")) if path.is_dir() else [path]
    if not files:
        raise DataNotFoundError(f"{path}: there are no .xgtf files in this folder or in those of its classes")
    counts: Counter[str] = Counter()
    videos, errors = [], []
    for file in files:
        try:
            videos.append(_read_video(file, source, split, counts))
        except AnnotationError as error:
            errors.append(str(error))
    if errors:
        listed = errors[:_MAX_ERRORS] + ["..."] * (len(errors) > _MAX_ERRORS)
        header = [f"{path}: {len(errors)} of {len(files)} files cannot be read:"] * (len(errors) > 1)
        raise AnnotationError("\n".join(header + listed))
    for what, number in sorted((+counts).items()):
        _logger.info("%s: %d %s", path, number, what)
    try:
        return Annotations(CLASSES, tuple(sorted(videos, key=lambda video: video.key)))
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error


def _read_video(file: Path, source: VideoSource, split: str, counts: Counter[str]) -> Video:
    """Read one file, and count what is left out of it."""
    if file.is_file() and file.stat().st_size > _MAX_BYTES:
        raise AnnotationError(
            f"{file}: has more than {_MAX_BYTES >> 20} MiB; that is no file of one video's annotations"
        )
    root = load_xml(file)
    class_name = _class_of(file)
    annotated = [item for data in _children(root, "data") for item in _children(data, "sourcefile")]
    if not annotated:
        raise AnnotationError(f"{file}: has no sourcefile in its data; it is no ViPER file, or an empty one")
    counts["files have several sourcefiles; the first is read"] += len(annotated) > 1
    tubes = _tubes(annotated[0], class_name, file, counts)

    key = f"{class_name}/{file.stem}"
    end = max((int(tube.frames[-1]) + 1 for tube in tubes), default=0)
    announced = _announced_frames(annotated[0], file)
    if announced is None:
        counts["files have no NUMFRAMES; the last box is taken for the last frame"] += 1
        announced = end - 1
    facts = source.facts(key, num_frames=announced + 1 if source.root is None else 0, owner=str(file))
    num_frames = _annotated_frames(facts, announced)
    counts["videos end before their boxes, and are taken to be longer"] += end > num_frames
    counts["videos have no tube"] += not tubes
    for tube in tubes:
        is_outside = (tube.boxes[:, :2] < 0).any(axis=1) | (tube.boxes[:, 2:] > (facts.width, facts.height)).any(axis=1)
        counts["boxes reach beyond the image; they are kept"] += int(is_outside.sum())
    try:
        return Video(
            key, facts.path, max(num_frames, end), facts.height, facts.width, facts.fps, tubes=tubes, split=split
        )
    except AnnotationError as error:
        raise AnnotationError(f"{file}: {error}") from error


def _class_of(file: Path) -> str:
    """Return the class that the name of a file and perhaps that of its folder say."""
    name = _NAME.fullmatch(file.stem)
    if name is None or name["class_name"] not in CLASSES:
        raise AnnotationError(
            f"{file}: the name is not v_<Class>_gNN_cNN.xgtf with one of the classes {', '.join(CLASSES)}"
        )
    if file.parent.name in CLASSES and file.parent.name != name["class_name"]:
        raise AnnotationError(f"{file}: a video of {name['class_name']} in the folder of {file.parent.name}; move it")
    return name["class_name"]


def _announced_frames(sourcefile: Element, file: Path) -> int | None:
    """Return NUMFRAMES, or None if it is not there."""
    for information in _children(sourcefile, "file"):
        for attribute in _children(information, "attribute"):
            for value in _children(attribute, "dvalue") if attribute.get("name") == "NUMFRAMES" else ():
                text = value.get("value", "")
                if not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
                    raise AnnotationError(f"{file}: NUMFRAMES is {text!r:.60}, not a number of frames")
                return int(text)
    return None


def _annotated_frames(facts: VideoFacts, announced: int) -> int:
    """Return how many frames were annotated; a video with empty packets decodes to fewer than it lasts for."""
    lengths = (facts.num_frames, facts.num_slots)
    return next((length for length in (announced + 1, announced) if length in lengths), facts.num_frames)


def _tubes(sourcefile: Element, class_name: str, file: Path, counts: Counter[str]) -> tuple[Tube, ...]:
    """Return the tubes of all actors, in the order of the objects and then of the frames."""
    objects = _children(sourcefile, "object")
    persons = [item for item in objects if item.get("name") == "PERSON"]
    counts["objects are no persons"] += len(objects) - len(persons)
    attributes = [{item.get("name", ""): item for item in _children(person, "attribute")} for person in persons]
    wanted = {_plain(class_name), _plain(_UCF11_NAMES.get(class_name, class_name))}
    names = {name for actor in attributes for name in actor}
    actions = {name for name in names if _plain(name) in wanted}
    if persons and len(actions) != 1:
        raise AnnotationError(
            f"{file}: one attribute should be the action {class_name}, but found {sorted(actions)} among "
            f"{shorten(sorted(names))}; is the file that of another video?"
        )
    tubes: list[Tube] = []
    action_name = "".join(actions)
    for person, actor in zip(persons, attributes, strict=True):
        owner = f"{file}: object {person.get('id')}"
        frames, boxes = _boxes(actor.get("Location"), owner, counts)
        active = np.isin(frames, _true_frames(actor.get(action_name), owner))
        counts["persons never do the action"] += not active.any()
        counts["persons do another action"] += any(
            value.get("value") == "true" for name, item in actor.items() if name != action_name for value in item
        )
        frames, boxes = frames[active], boxes[active]
        starts = np.flatnonzero(np.diff(frames) != 1) + 1
        for run, rows in zip(np.split(frames, starts), np.split(boxes, starts), strict=True):
            if len(run):
                tubes.append(Tube(CLASSES.index(class_name), run, rows, id=len(tubes)))
    return tuple(tubes)


def _boxes(
    location: Element | None, owner: str, counts: Counter[str]
) -> tuple[Int64[np.ndarray, " T"], Float32[np.ndarray, "T 4"]]:
    """Return the frames on which an object has a box with an area, and the boxes as xyxy."""
    elements = [] if location is None else list(location)
    values = []
    for element in elements:
        x, y, width, height = (_number(element, name) for name in ("x", "y", "width", "height"))
        if _local_name(element) != "bbox" or not abs(x) + abs(y) + abs(width) + abs(height) < _MAX_COORDINATE:
            raise AnnotationError(f"{owner}: Location has {_text_of(element)}, not a box with x, y, width and height")
        values.append((x, y, x + width, y + height))
    boxes = np.array(values, np.float32).reshape(-1, 4)
    frames, rows = _expand(elements, f"{owner}: Location")
    has_area = (boxes[rows, 2:] > boxes[rows, :2]).all(axis=1)
    counts["boxes have no area; they are dropped"] += int((~has_area).sum())
    return frames[has_area], boxes[rows[has_area]]


def _true_frames(action: Element | None, owner: str) -> Int64[np.ndarray, " F"]:
    """Return the frames on which an action is true."""
    elements = [] if action is None else list(action)
    truths = [_TRUTHS.get(element.get("value", "").lower()) for element in elements]
    for element, truth in zip(elements, truths, strict=True):
        if truth is None or _local_name(element) != "bvalue":
            raise AnnotationError(f"{owner}: the action has {_text_of(element)}, neither true nor false")
    frames, rows = _expand(elements, f"{owner}: the action")
    return frames[np.array(truths, bool)[rows]]


def _expand(elements: list[Element], owner: str) -> tuple[Int64[np.ndarray, " F"], Int64[np.ndarray, " F"]]:
    """Return the 0-based frames of all spans, sorted, and for each the element that it is of."""
    spans = []
    for row, element in enumerate(elements):
        for text in element.get("framespan", "").split() or [""]:
            match = _SPAN.fullmatch(text)
            first, last = map(int, match.groups()) if match else (0, 0)
            if not 1 <= first <= last:
                raise AnnotationError(
                    f"{owner}: {_text_of(element)} has the span {text!r:.60}, not first:last from 1 on"
                )
            spans.append((first - 1, last, row))
    starts, ends, of_element = np.array(spans, np.int64).reshape(-1, 3).T
    lengths = ends - starts
    if lengths.sum() > _MAX_FRAMES:
        raise AnnotationError(f"{owner}: its spans have {lengths.sum()} frames; no video of the data set is so long")
    frames = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    order = np.argsort(frames, kind="stable")
    frames, rows = frames[order], np.repeat(of_element, lengths)[order]
    if (np.diff(frames) == 0).any():
        twice = frames[1:][np.diff(frames) == 0][0]
        raise AnnotationError(f"{owner}: several spans have frame {twice + 1} (counted from 1)")
    return frames, rows


def _children(element: Element, name: str) -> list[Element]:
    """Return the children with a name, whatever their namespace is called."""
    return [child for child in element if _local_name(child) == name]


def _number(element: Element, name: str) -> float:
    """Return the value of an attribute, not a number if it is none."""
    try:
        return float(element.get(name, ""))
    except ValueError:
        return np.nan


def _local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _text_of(element: Element) -> str:
    return f"<{_local_name(element)} {shorten(element.attrib)}>"


def _plain(name: str) -> str:
    return name.replace(" ", "").lower()
