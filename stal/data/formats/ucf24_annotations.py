"""What the files of the corrected annotations of UCF101-24 have in common.

Source: https://github.com/gurkirt/corrected-UCF101-Annots (Singh et al., Online Real-time Multiple Spatiotemporal
Action Localisation and Prediction, ICCV 2017). A video has tubes of consecutive frames with boxes x, y, w, h. Published
readers disagree on whether 1 is to be subtracted from x and y; boxes are read as they are stored, because 93 % of the
tubes equal the original annotations, whose origin is 0.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from stal.data.ucf_splits import splits_by_test_list, with_splits
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.structures import Annotations, Tube, Video, describe

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
HEIGHT, WIDTH = 240, 320  # their rates differ: 25 frames a second, or 29.97
TEST_LIST = "testlist01.txt"


@dataclass(frozen=True)
class StoredTube:
    """A tube as a file has it, but for its frames, which are 0-based.

    Attributes:
        first: the first frame.
        end: the frame behind the last one.
        boxes: an array (end - first, 4) of x, y, w, h in pixels; not yet validated.
    """

    first: int
    end: int
    boxes: Any


def to_video(key: str, num_frames: int, labels: set[int], tubes: Sequence[StoredTube]) -> Video:
    """Return a video whose split is not known yet, with its key as path.

    Args:
        key: class and name, such as `Biking/v_Biking_g01_c01`.
        num_frames: annotated length.
        labels: all the classes, 0-based, that the file gives to the video and its tubes.
        tubes: its tubes.

    Raises:
        AnnotationError: the class is none of the 24 or not the only one, or a tube is broken.
    """
    class_name = key.split("/")[0]
    if class_name not in CLASSES:
        raise AnnotationError(f"video {key} is of none of the 24 classes: {', '.join(CLASSES)}")
    label = CLASSES.index(class_name)
    if labels - {label}:
        raise AnnotationError(f"video {key} has labels {sorted(labels)} instead of {label}")
    return Video(
        key=key,
        path=Path(key),
        num_frames=num_frames,
        height=HEIGHT,
        width=WIDTH,
        tubes=tuple(_to_tube(tube, number, label, owner=f"video {key}") for number, tube in enumerate(tubes)),
    )


def to_annotations(videos: Iterable[Video], file: Path) -> Annotations:
    """Return the videos of a file, sorted by key.

    Args:
        videos: made one by one here, so that their errors get the name of the file.
        file: the file.

    Raises:
        AnnotationError: a video is broken, or there are two with one key.
    """
    try:
        return Annotations(CLASSES, tuple(sorted(videos, key=lambda video: video.key)))
    except AnnotationError as error:
        raise AnnotationError(f"{file}: {error}") from error


def read_chosen(
    load: Callable[[Path], Annotations],
    path: str | Path,
    test_list: str | Path | None,
    split: str | None,
    classes: Sequence[str] | None,
) -> Annotations:
    """Read a file of all videos, and return those of one split and of some classes.

    Args:
        load: returns all videos of the file.
        path: the file.
        test_list: the list of test videos; if None, the splits of the file, or else the list beside it.
        split: `train` or `test`; None for both.
        classes: the classes to keep, in the order of their labels; None for all 24 in alphabetical order.
    """
    path = Path(path)
    check_choice(split, classes)
    return choose(divide(load(path), path, test_list, fallback=path.with_name(TEST_LIST)), split, classes)


def choose(annotations: Annotations, split: str | None, classes: Sequence[str] | None) -> Annotations:
    """Return the videos of one split and of some classes.

    Args:
        annotations: all videos.
        split: `train` or `test`; None for both.
        classes: the classes to keep, in the order of their labels; None for all 24 in alphabetical order.
    """
    chosen = CLASSES if classes is None else tuple(classes)
    videos = (
        (video, chosen.index(video.key.split("/")[0]))
        for video in annotations.videos
        if split in (None, video.split) and video.key.split("/")[0] in chosen
    )
    return Annotations(chosen, tuple(_relabel(video, label) for video, label in videos))


def check_choice(split: str | None, classes: Sequence[str] | None) -> None:
    """Raise a `ConfigError` unless UCF101-24 has this split and these classes."""
    if split not in ("train", "test", None):
        raise ConfigError(f"UCF101-24 has no split {split!r}; it has 'train' and 'test', and None takes both")
    classes = CLASSES if classes is None else classes
    if set(classes) - set(CLASSES) or len(set(classes)) < len(classes):
        raise ConfigError(f"classes {list(classes)}: each must be one of {', '.join(CLASSES)}, at most once")


def divide(annotations: Annotations, file: Path, test_list: str | Path | None, *, fallback: Path) -> Annotations:
    """Return the videos with the splits of a list of test videos.

    Args:
        annotations: all videos of a file, without splits unless the file has them.
        file: the file, for errors.
        test_list: the list; if None, splits that the file has are kept.
        fallback: the list if `test_list` is None and the file has no splits.
    """
    if test_list is None and all(video.split for video in annotations.videos):
        return annotations
    path = Path(test_list or fallback)
    return with_splits(annotations, splits_by_test_list(path, [video.key for video in annotations.videos], file), path)


def _to_tube(tube: StoredTube, number: int, label: int, owner: str) -> Tube:
    owner = f"{owner}, frames {tube.first} to {tube.end}"
    boxes = tube.boxes
    if not isinstance(boxes, np.ndarray) or boxes.shape[1:] != (4,) or boxes.dtype.kind not in "iuf":
        found = describe(boxes) if isinstance(boxes, np.ndarray) else f"a {type(boxes).__name__}"
        raise AnnotationError(f"{owner}: the boxes are {found}, not numbers (T, 4): x, y, w, h")
    if len(boxes) != tube.end - tube.first:
        raise AnnotationError(f"{owner}: a tube has {len(boxes)} boxes; the end is exclusive")
    try:
        return Tube(label=label, frames=np.arange(tube.first, tube.end), boxes=_xyxy(boxes), id=number)
    except ShapeError as error:
        raise AnnotationError(f"{owner}: {error}") from error


def _xyxy(boxes: Shaped[np.ndarray, "T 4"]) -> Float32[np.ndarray, "T 4"]:
    """Convert (x, y, w, h) of any type to float32 (x1, y1, x2, y2): as uint8, x + w would overflow."""
    corner, size = np.split(boxes.astype(np.float64), 2, axis=1)
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def _relabel(video: Video, label: int) -> Video:
    if all(tube.label == label for tube in video.tubes):
        return video
    return replace(video, tubes=tuple(replace(tube, label=label) for tube in video.tubes))
