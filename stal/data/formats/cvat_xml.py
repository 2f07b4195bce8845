"""CVAT for video 1.1: the XML file that the annotation tool CVAT exports and imports, one for each video.

Source of the format: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat. What is read of it::

    <annotations>
      <version>1.1</version>
      <meta><task>                            or <job>
        <name>v_Biking_g01_c01</name>         the key of the video
        <size>164</size> <stop_frame>163</stop_frame>
        <subset>train</subset>                its split; `default` is none
        <labels><label><name>Biking</name></label></labels>
        <original_size><width>320</width><height>240</height></original_size>
        <source>v_Biking_g01_c01.avi</source>
      </task></meta>
      <track id="0" label="Biking">
        <box frame="0" outside="0" keyframe="1" xtl="10.00" ytl="20.50" xbr="42.00" ybr="99.00">
          <attribute name="helmet">yes</attribute>
        </box>
        <box frame="1" outside="1" .../>      from here on, the actor is not visible
      </track>
    </annotations>

Frames are 0-based frames of the video, and corners are continuous pixels. CVAT writes a box for every frame, also for
those that it interpolated, so only written boxes are read, and no other shapes. The export of a job has `original_size`
beside `<job>`, and says neither name nor source.
"""

import logging
import re
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from stal.data.find_videos import VIDEO_SUFFIXES, video_key
from stal.data.formats.cvat_tracks import TrackReader, fail
from stal.data.formats.video_source import VideoSource
from stal.data.formats.whole_file import open_whole
from stal.data.formats.xml_file import load_xml
from stal.data.video.reader import frame_rule
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations, Tube, Video

_NO_SUBSET = (None, "", "default")  # CVAT writes the last for all tasks that are in none
_ANY_NAME = "annotations"  # of the file in every export
_NOT_IN_XML = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")

_logger = logging.getLogger(__name__)


def read_cvat_xml(
    path: str | Path,
    *,
    attribute: str | None = None,
    source: VideoSource = VideoSource(),
    split: str | None = None,
) -> Annotations:
    """Read a file of CVAT, or all `.xml` files below a folder: a tube for every track that is visible somewhere.

    A tube has the id of its track. Classes are numbered in the order in which the files name them.

    Args:
        path: the file, or the folder.
        attribute: name of an attribute whose values are the classes, in place of the labels. A track then is a tube for
            every run of a value, and tubes are numbered in their order.
        source: gives the length, size and rate of the videos; not needed for a file that has the first two, as those
            from CVAT do.
        split: name that all videos get; None takes the subset that a file names, or else `train`.

    Raises:
        DataNotFoundError: there is no such file, no file in the folder, or a video is missing.
        VideoReadError: a video cannot be decoded, or has other frames than its file was made for.
        AnnotationError: a file is broken or of another format, such as that of a whole project, does not say its video,
            has the video of another one or another subset than `split`, or the size of a video is not known.
        ConfigError: nothing has the attribute.
    """
    path = Path(path)
    files = sorted(filter(Path.is_file, path.rglob("*.xml"))) if path.is_dir() else [path]
    if not files:
        raise DataNotFoundError(f"{path}: there is no .xml file in this folder")
    tracks = TrackReader(attribute)
    videos: dict[str, Video] = {}
    file_of: dict[str, Path] = {}
    for file in files:
        video = _read_video(file, tracks, source, split)
        if video.key in videos:
            fail(file, f"is of video {video.key}, and so is {file_of[video.key]}; remove one, or rename a task")
        videos[video.key], file_of[video.key] = video, file
    tracks.check_attribute(path)
    not_read = ", ".join(f"{number} {what}" for what, number in sorted(tracks.not_read.items()) if number)
    if not_read:
        _logger.warning("%s: not read: %s", path, not_read)
    return Annotations(tuple(tracks.labels), tuple(videos.values()))


def write_cvat_xml(annotations: Annotations, path: str | Path) -> None:
    """Write files that CVAT imports into tasks of the same videos and labels.

    Reading them back gives the same tubes and splits, but a video without a split is read as of `train`. Rates, scenes
    and silhouettes are not in the format, and neither are the paths of videos: their names are.

    Args:
        annotations: the data set.
        path: a file ending with `.xml` for a single video, or else a folder that gets `<key>.xml` for every video.

    Raises:
        AnnotationError: a single file is to hold several videos, a key is no name of a file of its own in the folder, a
            name holds a character that XML does not allow, a split is called `default`, or a tube has a score.
        ConfigError: a file cannot be written, or the folder has `.xml` files that would be read with those written.
    """
    path = Path(path)
    files = _files_of(annotations, path)
    for video in annotations.videos:
        _check_writable(video, annotations.classes)
    for video, file in zip(annotations.videos, files, strict=True):
        root = _video_to_xml(video, annotations.classes)
        ElementTree.indent(root)
        with open_whole(file) as stream:
            ElementTree.ElementTree(root).write(stream, encoding="utf-8", xml_declaration=True)


def _read_video(file: Path, tracks: TrackReader, source: VideoSource, split: str | None) -> Video:
    root = load_xml(file)
    if root.tag != "annotations":
        fail(file, f"expected CVAT's <annotations>, got <{root.tag}>")
    if root.find("image") is not None:
        fail(file, "this is `CVAT for images`, which has no tracks; export it as `CVAT for video 1.1`")
    if root.find("meta/project") is not None:
        fail(file, "this is the file of a whole project, whose frames are of several videos; export every task alone")
    meta = next(root.iterfind("meta"), Element("meta"))
    task = next((node for node in meta if node.tag in ("task", "job")), Element("task"))
    for labels in task.iterfind("labels"):
        tracks.add_labels(labels)
    tubes = tracks.read(file, root)

    last = max((int(tube.frames[-1]) for tube in tubes), default=0)
    said = task.findtext("source") or task.findtext("name")
    if not said and file.stem == _ANY_NAME:
        fail(file, "the export of a job does not say its video: rename it to the video's name, or export the task")
    name = said or file.stem
    num_frames = _whole(file, task, "stop_frame", -1) + 1 or _whole(file, task, "size", last + 1)
    sized = meta if meta.find("original_size") is not None else task
    size = (_whole(file, sized, "original_size/height", 0), _whole(file, sized, "original_size/width", 0))
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
            split=_split(file, task.findtext("subset"), split),
        )
    except AnnotationError as error:
        raise AnnotationError(f"{file}: {error}") from error


def _split(file: Path, subset: str | None, split: str | None) -> str:
    """Return the split of a video, by the subset in its file and what was asked for."""
    if subset in _NO_SUBSET:
        return "train" if split is None else split
    if split not in (None, subset):
        fail(file, f"its subset is {subset!r}, but the split {split!r} was given; leave the split out, or change one")
    return str(subset)


def _whole(file: Path, node: Element, place: str, default: int) -> int:
    """Return a whole number from 0 on; `default` if it is not there."""
    text = (node.findtext(place) or "").strip()
    if not text:
        return default
    if not re.fullmatch(r"\d{1,9}", text):
        fail(file, f"meta/{node.tag}/{place} is {text!r:.60}, not a whole number")
    return int(text)


def _files_of(annotations: Annotations, path: Path) -> list[Path]:
    """Return the file of every video."""
    if path.suffix == ".xml":
        if len(annotations.videos) != 1:
            raise AnnotationError(
                f"{path}: a file of CVAT is of one video, but there are {len(annotations.videos)}; name a folder"
            )
        return [path]
    key_of: dict[Path, str] = {}
    for video in annotations.videos:
        file = path / f"{video.key}.xml"
        if Path(video.key).is_absolute() or ".." in Path(video.key).parts:
            raise AnnotationError(f"video {video.key}: its file would not be in {path}; rename the video")
        if key_of.setdefault(file, video.key) != video.key:
            raise AnnotationError(f"videos {key_of[file]} and {video.key} would both be {file}; rename one")
    others = sorted(filter(Path.is_file, set(path.rglob("*.xml")) - key_of.keys())) if path.is_dir() else []
    if others:
        raise ConfigError(
            f"{path}: has {len(others)} .xml files of other videos, the first is {others[0]}, and who reads the folder "
            "would read them too; remove them, or name another folder"
        )
    return list(key_of)


def _check_writable(video: Video, classes: tuple[str, ...]) -> None:
    """Raise if the format cannot hold a video."""
    for text in (video.key, video.split, *classes):
        if _NOT_IN_XML.search(text):
            raise AnnotationError(f"video {video.key!r}: XML does not hold all characters of {text!r}; rename it")
    if video.split == "default":
        raise AnnotationError(f"video {video.key}: the subset 'default' is CVAT's word for none; rename the split")
    for tube in video.tubes:
        if tube.score is not None or tube.id < 0:
            raise AnnotationError(
                f"video {video.key}: tube {tube.id} has score {tube.score}; tracks are annotated ones, with an id from "
                "0 on"
            )


def _video_to_xml(video: Video, classes: tuple[str, ...]) -> Element:
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
        "subset": video.split or "default",
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
    track = Element("track", id=str(tube.id), label=label, source="manual")
    ends = np.append(np.diff(tube.frames) != 1, tube.frames[-1] + 1 < video.num_frames)
    for frame, corners, ends_here in zip(tube.frames.tolist(), tube.boxes.astype(str).tolist(), ends, strict=True):
        box = dict(zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True), occluded="0", keyframe="1", z_order="0")
        SubElement(track, "box", box, frame=str(frame), outside="0")
        if ends_here:
            SubElement(track, "box", box, frame=str(frame + 1), outside="1")
    return track
