"""Conversion of annotations from any known format to any that can be written, for `tools/import_annotations.py`."""

import inspect
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stal.data.find_videos import VIDEO_SUFFIXES, find_videos
from stal.data.formats.known_formats import FORMATS, Format
from stal.data.formats.text_file import load_text
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations, Video

READER_OPTIONS = (
    "split",
    "fold",
    "classes",
    "test_list",
    "label_map",
    "excluded",
    "start_seconds",
    "fps",
    "first_frame",
    "attribute",
    "identity",
)
"""Keyword arguments of readers and writers that may be given; each goes to the functions that take it."""

SOURCE_OPTIONS = ("videos", "size", "fps")
"""What a reader's `source` is made of: the folder of videos, (height, width), and frames per second."""


@dataclass(frozen=True)
class SplitCount:
    """What a split holds."""

    split: str
    num_videos: int
    num_tubes: int
    num_boxes: int


def convert_annotations(
    inputs: Sequence[str],
    format_name: str,
    out: str | Path,
    *,
    to: str = "stal",
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Annotations:
    """Read annotations of one format, merge them, and write them in another one.

    Classes of several inputs are merged by their names, in the order in which they first occur. Without the videos'
    folder, a format that does not say where its videos are gets them beside `out`, under their keys.

    Args:
        inputs: files or folders of the format; `NAME=PATH` gives all videos of one the split `NAME`.
        format_name: name of the format in `FORMATS`.
        out: file or folder to write.
        to: name of the format to write.
        options: from `READER_OPTIONS` and `SOURCE_OPTIONS`.
        overwrite: write `out` even if it exists.

    Returns:
        What was written.

    Raises:
        ConfigError: an option is not one of the two formats, a format is unknown or cannot be written, or `out` exists
            or cannot be written.
        DataNotFoundError: an input or a video is missing.
        VideoReadError: a video cannot be decoded.
        AnnotationError: an input is broken, or the format cannot hold what is to be written.
    """
    options = {name: value for name, value in (options or {}).items() if value is not None}
    source_format, target_format, out = _find_format(format_name), _find_format(to), Path(out)
    if target_format.write is None:
        writable = [name for name, known in FORMATS.items() if known.write is not None]
        raise ConfigError(f"the format {to} is only read; those that can be written are {', '.join(writable)}")
    if os.path.exists(out) and not overwrite:  # unlike Path.exists, it is no error what cannot be looked at
        raise ConfigError(f"{out} is there already; name another file, or use --overwrite")
    _check_options(format_name, to, options)

    parts = [_read(source_format, format_name, text, options) for text in inputs]
    _check_keys(inputs, parts)
    annotations = merge(parts)
    if "videos" in options and "source" not in _arguments(source_format.read):
        annotations = _locate(annotations, Path(options["videos"]))
    elif "videos" not in options and not source_format.names_videos:
        videos = tuple(replace(video, path=out.parent / video.path) for video in annotations.videos)
        annotations = replace(annotations, videos=videos)
    target_format.write(annotations, out, **_values_for(_arguments(target_format.write), options))
    return annotations


def merge(parts: Sequence[Annotations]) -> Annotations:
    """Merge data sets by the names of their classes, in the order in which they first occur.

    Args:
        parts: data sets without a video in common.

    Raises:
        AnnotationError: two data sets have a video of the same key.
    """
    labels: dict[str, int] = {}
    for part in parts:
        for name in part.classes:
            labels.setdefault(name, len(labels))
    return Annotations(
        tuple(labels), tuple(_relabel(video, part.classes, labels) for part in parts for video in part.videos)
    )


def count_splits(annotations: Annotations) -> list[SplitCount]:
    """Return the numbers of videos, tubes and boxes of every split, in the order in which they occur."""
    num_videos: Counter[str] = Counter()
    num_tubes: Counter[str] = Counter()
    num_boxes: Counter[str] = Counter()
    for video in annotations.videos:
        num_videos[video.split] += 1
        num_tubes[video.split] += len(video.tubes)
        num_boxes[video.split] += sum(map(len, video.tubes))
    return [SplitCount(split, number, num_tubes[split], num_boxes[split]) for split, number in num_videos.items()]


def accepted_options(format_name: str, to: str = "stal") -> list[str]:
    """Return the names of the options that a conversion takes.

    Args:
        format_name: of the format to read.
        to: of the format to write.
    """
    reads, write = _arguments(_find_format(format_name).read), _find_format(to).write
    taken = reads | (set() if write is None else _arguments(write)) | {"videos"}
    if "source" in reads:
        taken |= set(SOURCE_OPTIONS)
    return [name for name in dict.fromkeys((*SOURCE_OPTIONS, *READER_OPTIONS)) if name in taken]


def _find_format(name: str) -> Format:
    if name not in FORMATS:
        raise ConfigError(f"there is no format {name!r}; the formats are {', '.join(FORMATS)}")
    return FORMATS[name]


def _arguments(function: Any) -> set[str]:
    """Return the names of a function's keyword arguments."""
    return {parameter.name for parameter in inspect.signature(function).parameters.values()}


def _check_options(format_name: str, to: str, options: Mapping[str, Any]) -> None:
    accepted = accepted_options(format_name, to)
    refused = [_flag(name) for name in options if name not in accepted]
    if refused:
        raise ConfigError(
            f"the format {format_name} does not take {', '.join(refused)}; it takes {', '.join(map(_flag, accepted))}"
        )
    if "videos" in options and not Path(options["videos"]).is_dir():
        raise DataNotFoundError(f"{options['videos']}: there is no such folder of videos (--videos)")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _read(known: Format, format_name: str, text: str, options: Mapping[str, Any]) -> Annotations:
    """Read one input, `PATH` or `NAME=PATH`."""
    name, separator, path = text.partition("=")
    arguments = _arguments(known.read)
    values = _values_for(arguments, options)
    if separator and not os.path.exists(text):
        if known.has_splits:
            raise ConfigError(f"{text}: the format {format_name} has splits of its own; give {path} alone")
        if values.setdefault("split", name) != name:
            raise ConfigError(f"{text}: --split gives the split {values['split']!r}; leave one of the two names out")
    else:
        path = text
    if "source" in arguments:
        root, size = options.get("videos"), options.get("size")
        fps = None if "fps" in arguments else options.get("fps")
        values["source"] = VideoSource(root=None if root is None else Path(root), size=size, fps=fps)
    elif "video_root" in arguments and "videos" in options:
        values["video_root"] = options["videos"]
    return known.read(path, **values)


def _check_keys(inputs: Sequence[str], parts: Sequence[Annotations]) -> None:
    """Raise if two inputs have a video in common."""
    input_of: dict[str, str] = {}
    for text, part in zip(inputs, parts, strict=True):
        for video in part.videos:
            if video.key in input_of:
                raise AnnotationError(
                    f"video {video.key} is annotated twice, in {input_of[video.key]} and in {text}; leave one out"
                )
            input_of[video.key] = text


def _values_for(arguments: set[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a function takes."""
    values = {name: options[name] for name in READER_OPTIONS if name in options and name in arguments}
    if "classes" in values:
        values["classes"] = _class_names(values["classes"])
    return values


def _class_names(names: Sequence[str]) -> list[str]:
    """Return the names, or those in the file that the only one names, one a line."""
    if len(names) != 1 or not Path(names[0]).is_file():
        return list(names)
    return [line.strip() for line in load_text(names[0]).splitlines() if line.strip()]


def _locate(annotations: Annotations, root: Path) -> Annotations:
    """Return the annotations with the paths of their videos below `root`."""
    paths = find_videos(root, [video.key for video in annotations.videos])
    missing = [video.key for video in annotations.videos if video.key not in paths]
    if missing:
        raise DataNotFoundError(
            f"{root}: {len(missing)} of {len(annotations.videos)} videos are missing, the first is {missing[0]} "
            f"({', '.join(VIDEO_SUFFIXES)}, or a folder of frames)"
        )
    return replace(annotations, videos=tuple(replace(video, path=paths[video.key]) for video in annotations.videos))


def _relabel(video: Video, classes: Sequence[str], labels: Mapping[str, int]) -> Video:
    tubes = tuple(replace(tube, label=labels[classes[tube.label]]) for tube in video.tubes)
    return replace(video, tubes=tubes)
