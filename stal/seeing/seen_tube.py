"""The one tube that a tool looks at: detected here, read from a file of detections, or annotated."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from stal.data.clips import ClipDataset
from stal.data.detection_files import read_detections
from stal.engine.collector import VideoCollector
from stal.engine.model import DetectionModel
from stal.errors import AnnotationError, ConfigError
from stal.linking.linker import Linker
from stal.structures import Annotations, Tube, Video


@dataclass(frozen=True)
class SeenTube:
    """A tube, and what it is in words.

    Attributes:
        tube: the tube.
        origin: such as `surest of 5 detections`.
    """

    tube: Tube
    origin: str


@torch.no_grad()
def detect_tubes(
    model: DetectionModel,
    windows: ClipDataset,
    linker: Linker,
    progress: Callable[[range], Iterable[int]] = iter,
) -> list[Tube]:
    """Return the tubes that a model detects in one video, as a test finds them.

    Args:
        model: a trained model.
        windows: the test clips of one video.
        linker: makes tubes of detections.
        progress: goes through the numbers of the windows.
    """
    collector = VideoCollector(windows.annotations, windows.num_clips, linker)
    model.eval()
    for number in progress(range(len(windows))):
        (result,) = model(model.data_preprocessor.prepare([windows[number]]), mode="predict")
        collector.add(result)
    (found,) = collector.videos.values()
    return list(found.tubes or ())


def read_tubes(path: str, annotations: Annotations, video: Video, linker: Linker) -> list[Tube]:
    """Return the tubes that a file of detections has of one video; they are linked if there are none in it.

    Args:
        path: the .npz file.
        annotations: of all the videos that it has detections of.
        video: the video.
        linker: makes tubes of detections.
    """
    file = read_detections(path, annotations=annotations)
    if file.tubes is None:
        return linker(file.detections[video.key], num_frames=video.num_frames)
    return file.tubes[video.key]


def choose_detected(tubes: Sequence[Tube], classes: Sequence[str], *, action: str | None, rank: int) -> SeenTube:
    """Return one of the tubes that were detected.

    Args:
        tubes: each with its score.
        classes: names of the classes.
        action: name of the class that it is to have; None for any.
        rank: 0 for the surest of these, 1 for the next.

    Raises:
        ConfigError: there is no such class, or there are not so many tubes.
    """
    label = _label(classes, action)
    wanted = [tube for tube in tubes if label in (None, tube.label)]
    of_class = f" of {action!r}" if action else ""
    if not wanted:
        others = sorted({classes[tube.label] for tube in tubes})
        raise ConfigError(
            f"nothing{of_class} is detected in this video"
            + (f", but {', '.join(others)}" if others else ": is the checkpoint trained, and on such videos?")
        )
    if not 0 <= rank < len(wanted):
        raise ConfigError(f"--rank {rank}: there are {len(wanted)} detected tubes{of_class}, numbered from 0")
    ranked = sorted(wanted, key=lambda tube: -(tube.score or 0.0))
    place = "surest" if rank == 0 else f"no. {rank + 1}"
    return SeenTube(ranked[rank], f"{place} of {len(wanted)} {'detection' if len(wanted) == 1 else 'detections'}")


def choose_annotated(video: Video, classes: Sequence[str], *, action: str | None, number: int) -> SeenTube:
    """Return one of the annotated tubes of a video.

    Args:
        video: the video.
        classes: names of the classes.
        action: name of the class that it is to have; None for any.
        number: 0 for the first of these.

    Raises:
        AnnotationError: there are not so many tubes.
        ConfigError: there is no such class.
    """
    label = _label(classes, action)
    wanted = [tube for tube in video.tubes if label in (None, tube.label)]
    if not 0 <= number < len(wanted):
        raise AnnotationError(
            f"--ground-truth {number}: video {video.key} has {len(wanted)} annotated tubes"
            f"{f' of {action!r}' if action else ''}, numbered from 0"
        )
    return SeenTube(wanted[number], "ground truth" if len(wanted) == 1 else f"ground truth {number}")


def _label(classes: Sequence[str], action: str | None) -> int | None:
    """Return the label of a class, None for None."""
    if action is None:
        return None
    if action not in classes:
        raise ConfigError(f"--class {action!r} is none of {', '.join(classes)}")
    return list(classes).index(action)
