"""UCF101-24: the 24 classes of UCF101 whose actors are annotated with tubes, with the corrected annotations.

Source of the annotations: https://github.com/gurkirt/corrected-UCF101-Annots (Singh et al., Online Real-time Multiple
Spatiotemporal Action Localisation and Prediction, ICCV 2017). `pyannot.pkl` holds, by video::

    {"numf": 164, "label": 17, "annotations": [{"label": 17, "sf": 0, "ef": 164, "boxes": (164, 4) x, y, w, h}, ...]}

with `sf` 0-based and `ef` exclusive. The arrays are of the smallest unsigned type that holds their values, in which
`x + w` overflows in a tenth of the boxes. Published readers disagree on whether 1 is to be subtracted from x and y;
boxes are read as they are stored, because 93 % of the tubes equal the original annotations, whose origin is 0.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from stal.data.find_videos import VIDEO_SUFFIXES, find_videos
from stal.data.formats.pickles import load_pickle
from stal.errors import AnnotationError, ConfigError, DataNotFoundError, ShapeError
from stal.structures import Annotations, Tube, Video

CLASSES = (
    "Basketball",
    "BasketballDunk",
    "Biking",
    "CliffDiving",
    "CricketBowling",
    "Diving",
    "Fencing",
    "FloorGymnastics",
    "GolfSwing",
    "HorseRiding",
    "IceDancing",
    "LongJump",
    "PoleVault",
    "RopeClimbing",
    "SalsaSpin",
    "SkateBoarding",
    "Skiing",
    "Skijet",
    "SoccerJuggling",
    "Surfing",
    "TennisSwing",
    "TrampolineJumping",
    "VolleyballSpiking",
    "WalkingWithDog",
)
HEIGHT, WIDTH, FPS = 240, 320, 25.0
TEST_LIST = "testlist01.txt"

_logger = logging.getLogger(__name__)


def read_ucf24(
    root: str | Path = "data/ucf24",
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    video_root: str | Path | None = None,
    annotation_file: str | Path | None = None,
    test_list: str | Path | None = None,
    allow_missing: bool = False,
) -> Annotations:
    """Read the annotations of UCF101-24, and find its videos.

    Args:
        root: folder in which the next three are looked for unless they are given.
        split: `train` or `test` of split 1; None for both.
        classes: the classes to keep, in the order of their labels; None for all 24 in alphabetical order.
        video_root: holds `<Class>/<name>.avi`, or folders of frames `<Class>/<name>/`; `<root>/videos` if None.
        annotation_file: `<root>/pyannot.pkl` if None.
        test_list: names the videos of the test split; `<root>/testlist01.txt` if None.
        allow_missing: keep the videos that are there, and log how many are not, instead of raising.

    Raises:
        DataNotFoundError: a file or folder is missing, or videos are and `allow_missing` is False, or all of them are.
        AnnotationError: an annotation file is broken, of another format, or at odds with another one.
        ConfigError: there is no such split or class.
    """
    root = Path(root)
    video_root = Path(video_root or root / "videos")
    annotation_file = Path(annotation_file or root / "pyannot.pkl")
    test_list = Path(test_list or root / TEST_LIST)
    _check_paths(video_root, annotation_file, test_list)
    annotations = read_pyannot(annotation_file, test_list=test_list, split=split, classes=classes)
    paths = find_videos(video_root, [video.key for video in annotations.videos])
    missing = [video.key for video in annotations.videos if video.key not in paths]
    _report_missing(missing, len(annotations.videos), video_root, allow_missing)
    videos = [replace(video, path=paths[video.key]) for video in annotations.videos if video.key in paths]
    return Annotations(annotations.classes, tuple(videos))


def read_pyannot(
    annotation_file: str | Path,
    *,
    test_list: str | Path | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
) -> Annotations:
    """Read the annotations of UCF101-24 without its videos, which have their key as path.

    Args:
        annotation_file: `pyannot.pkl`.
        test_list: names the videos of the test split; `testlist01.txt` beside the annotations if None.
        split: `train` or `test` of split 1; None for both.
        classes: the classes to keep, in the order of their labels; None for all 24 in alphabetical order.

    Raises:
        DataNotFoundError: a file is missing.
        AnnotationError: a file is broken, of another format, or at odds with the other one.
        ConfigError: there is no such split or class.
    """
    annotation_file = Path(annotation_file)
    test_list = Path(test_list or annotation_file.with_name(TEST_LIST))
    if split not in ("train", "test", None):
        raise ConfigError(f"UCF101-24 has no split {split!r}; it has 'train' and 'test', and None takes both")
    classes = CLASSES if classes is None else tuple(classes)
    unknown = [name for name in classes if name not in CLASSES]
    if unknown or len(set(classes)) < len(classes):
        raise ConfigError(f"classes {list(classes)}: each must be one of {', '.join(CLASSES)}, at most once")

    annotations = _load_annotations(annotation_file)
    if not test_list.is_file():
        raise DataNotFoundError(
            f"{test_list}: there is no such file, and {annotation_file} does not say which videos are of the test "
            f"split; put the {TEST_LIST} that comes with the annotations beside them, see data/README.md"
        )
    test_keys = _read_test_list(test_list, annotations.keys(), annotation_file)
    videos = [
        Video(
            key=key,
            path=Path(key),
            num_frames=int(annotations[key]["numf"]),
            height=HEIGHT,
            width=WIDTH,
            fps=FPS,
            tubes=_tubes(key, annotations[key], classes.index(key.split("/")[0]), annotation_file),
            split="test" if key in test_keys else "train",
        )
        for key in sorted(annotations)
        if key.split("/")[0] in classes and split in (None, "test" if key in test_keys else "train")
    ]
    return Annotations(classes, tuple(videos))


def _check_paths(video_root: Path, annotation_file: Path, test_list: Path) -> None:
    """Raise with everything that is missing at once, before anything slow is begun."""
    missing = [f"the folder of videos {video_root}"] if not video_root.is_dir() else []
    missing += [f"the annotations {annotation_file}"] if not annotation_file.is_file() else []
    missing += [f"the test list {test_list}"] if not test_list.is_file() else []
    if missing:
        raise DataNotFoundError(
            f"UCF101-24 is not here: missing are {', '.join(missing)} (looked for from {Path.cwd()}); "
            "data/README.md says where to get them and how to lay them out"
        )


def _load_annotations(annotation_file: Path) -> dict[str, Mapping[str, Any]]:
    """Load `pyannot.pkl` by video, and check that its format is the expected one."""
    raw = load_pickle(annotation_file)
    if not isinstance(raw, dict) or not raw:
        raise AnnotationError(f"{annotation_file}: holds a {type(raw).__name__}, not a dict of videos as pyannot.pkl")
    if "db" in raw:
        raise AnnotationError(f"{annotation_file}: this is the file with class names; use pyannot.pkl, which has more")
    annotations = {str(key): value for key, value in raw.items()}  # the keys are numpy strings
    for key, value in annotations.items():
        class_name = key.split("/")[0]
        if class_name not in CLASSES:
            raise AnnotationError(f"{annotation_file}: video {key} is of none of the 24 classes: {', '.join(CLASSES)}")
        if not _is_annotation(value):
            raise AnnotationError(f"{annotation_file}: video {key} is not of the format of pyannot.pkl: {value!r:.200}")
        label = CLASSES.index(class_name)
        found = {int(value["label"]), *(int(tube["label"]) for tube in value["annotations"])}
        if found != {label}:
            raise AnnotationError(f"{annotation_file}: video {key} has labels {sorted(found)} instead of {label}")
    return annotations


def _is_annotation(value: object) -> bool:
    """Whether `value` has the keys of a video of `pyannot.pkl`, and its tubes have theirs and boxes (T, 4)."""
    return (
        isinstance(value, Mapping)
        and {"numf", "label", "annotations"} <= value.keys()
        and all({"label", "sf", "ef", "boxes"} <= tube.keys() for tube in value["annotations"])
        and all(np.shape(tube["boxes"])[1:] == (4,) for tube in value["annotations"])
    )


def _read_test_list(test_list: Path, keys: Iterable[str], annotation_file: Path) -> set[str]:
    """Return the keys of the test videos, one a line: `Basketball/v_Basketball_g01_c01`, perhaps with a suffix."""
    # splitlines: the file has DOS line ends in some copies and no end after its last line
    lines = [line.strip() for line in test_list.read_text(encoding="utf-8").splitlines()]
    test_keys = {line.removesuffix(".avi") for line in lines if line}
    unknown = sorted(test_keys - set(keys))
    if unknown:
        raise AnnotationError(
            f"{test_list}: {len(unknown)} of {len(test_keys)} videos are not annotated in {annotation_file}, the first "
            f"is {unknown[0]}; take the list that comes with the annotations, not that of all 101 classes"
        )
    return test_keys


def _report_missing(missing: Sequence[str], num_wanted: int, video_root: Path, allow_missing: bool) -> None:
    """Raise or log that videos are missing."""
    if not missing:
        return
    found_none = len(missing) == num_wanted
    message = f"{len(missing)} of {num_wanted} videos of UCF101-24 are missing in {video_root}"
    if found_none or not allow_missing:
        raise DataNotFoundError(
            f"{message}: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}; looked for "
            f"{video_root / missing[0]}.avi (or {', '.join(VIDEO_SUFFIXES[1:])}, or a folder of frames); see "
            f"data/README.md{'' if found_none else ', or use allow_missing=True to go on with those that are there'}"
        )
    _logger.warning("%s; going on with the other %d", message, num_wanted - len(missing))
    _logger.debug("missing videos: %s", ", ".join(missing))


def _tubes(key: str, annotation: Mapping[str, Any], label: int, annotation_file: Path) -> tuple[Tube, ...]:
    """Return the tubes of one video."""
    tubes = []
    for number, raw in enumerate(annotation["annotations"]):
        first, end = int(raw["sf"]), int(raw["ef"])
        owner = f"{annotation_file}: video {key}, frames {first} to {end}"
        if len(raw["boxes"]) != end - first:
            raise AnnotationError(f"{owner}: a tube has {len(raw['boxes'])} boxes; the end is exclusive")
        try:
            tubes.append(Tube(label=label, frames=np.arange(first, end), boxes=_xyxy(raw["boxes"]), id=number))
        except ShapeError as error:
            raise AnnotationError(f"{owner}: {error}") from error
    return tuple(tubes)


def _xyxy(boxes: Shaped[np.ndarray, "T 4"]) -> Float32[np.ndarray, "T 4"]:
    """Convert (x, y, w, h) of any type to float32 (x1, y1, x2, y2): as uint8, x + w would overflow."""
    corner, size = np.split(boxes.astype(np.int64), 2, axis=1)
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)
