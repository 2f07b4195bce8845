"""A tube of a video together with the model whose score of it is looked at."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from mmengine.config import Config
from mmengine.device import get_device
from rich.console import Console
from rich.progress import track

from stal.attribution.methods import Method
from stal.attribution.roi_score import Pathway
from stal.data.clips import ClipDataset
from stal.engine.build import build, call
from stal.engine.config import load_run_config, with_options
from stal.engine.faults.checkpoint import load_weights
from stal.engine.model import DetectionModel
from stal.engine.runner import build_linker, build_model
from stal.errors import ConfigError
from stal.seeing.attribute import attribute_tube
from stal.seeing.seen_tube import SeenTube, choose_annotated, choose_detected, detect_tubes, read_tubes
from stal.seeing.seen_video import DEFAULT_FPS, data_set_video, iterate_frames, own_video
from stal.structures import Annotations, Video
from stal.visualize.tube_view import TubeView

_MAX_VOXELS = 2**27  # of a gradient tube, which is held in memory, several times over


@dataclass(frozen=True)
class VideoChoice:
    """Which video is looked at.

    Attributes:
        path: a video file or a folder of frames; None for a video of the config's data set.
        index: number of the video in its set.
        split: the set: a split, or another one as `read_tested_sets` takes it; None for the split that the config tests
            on.
    """

    path: str | None = None
    index: int = 0
    split: str | None = None


@dataclass(frozen=True)
class TubeChoice:
    """Which tube of a video is looked at.

    Attributes:
        action: name of its class; None for any.
        rank: of the detected tubes (of that class), 0 is the surest.
        detections: file of detections to take it from; None to detect.
        ground_truth: take the annotated tube (of that class) with this number instead; None for a detected one.
    """

    action: str | None = None
    rank: int = 0
    detections: str | None = None
    ground_truth: int | None = None


@dataclass(frozen=True, eq=False)
class TubeSource:
    """A tube of a video, and the model whose score of it is looked at.

    Attributes:
        model: with its weights, on its device.
        windows: the test clips of the video.
        seen: the tube.
        folder: where files about it go unless another place is named: `gradients` in the work directory.
    """

    model: DetectionModel
    windows: ClipDataset
    seen: SeenTube
    folder: Path

    @classmethod
    def load(
        cls,
        config_path: str,
        checkpoint: str,
        video_choice: VideoChoice,
        tube_choice: TubeChoice,
        *,
        work_dir: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> "TubeSource":
        """Load the model, and find the tube.

        Args:
            config_path: the config file that the checkpoint was trained with.
            checkpoint: the checkpoint, or a work directory, whose last one is taken.
            video_choice: which video.
            tube_choice: which tube of it.
            work_dir: None for `work_dirs/<config>`.
            options: settings of the config to change.

        Raises:
            AnnotationError: there is no such annotated tube or split.
            CheckpointError: the checkpoint cannot be used.
            ConfigError: there is no such video, class or detected tube, or the video is too long.
        """
        path = video_choice.path
        if path and (tube_choice.detections or tube_choice.ground_truth is not None):
            raise ConfigError(
                f"{path} is neither annotated nor in a file of detections: leave out --ground-truth and --detections, "
                "or choose a video of the data set (--index)"
            )
        config = with_options(
            load_run_config(config_path, work_dir, options), {"test_dataloader.dataset.with_masks": False}
        )
        if path:
            annotations, video = own_video(path, checkpoint)
        else:
            annotations, video = data_set_video(config, video_choice.index, video_choice.split)
        model = build_model(config)
        load_weights(model, checkpoint)
        model.to(get_device()).eval()
        windows = _windows(config, annotations.classes, video)
        seen = _find_tube(tube_choice, config, model, windows, annotations)
        return cls(model, windows, seen, Path(config.work_dir) / "gradients")

    @property
    def video(self) -> Video:
        """The video."""
        return self.windows.videos[0]

    def look(self, method: Method, pathway: Pathway = "both", *, signed: bool = False) -> TubeView:
        """Return the gradient tube.

        Args:
            method: of attribution, see `stal.attribution.methods.attribute`.
            pathway: the way into the network that is looked at, see `RoiScore`.
            signed: show signed values; False for magnitudes.
        """
        video, tube = self.video, self.seen.tube
        return TubeView(
            tube=attribute_tube(
                self.model,
                self.windows,
                tube.boxes_at(np.arange(video.num_frames))[0],
                tube.label,
                method=method,
                pathway=pathway,
                progress=_progress(f"attributing by {method}"),
            ),
            action=self.windows.annotations.classes[tube.label],
            origin=self.seen.origin,
            video_size=(video.height, video.width),
            fps=video.fps or DEFAULT_FPS,
            signed=signed,
        )

    def frames(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Yield all frames of the video, and show how far it is."""
        yield from _progress("drawing", self.video.num_frames)(iterate_frames(self.video))


def _windows(config: Config, classes: Sequence[str], video: Video) -> ClipDataset:
    """Return the test clips of one video.

    Raises:
        ConfigError: the video is too long for its gradient tube to be held in memory.
    """
    settings = build(config.test_dataloader["dataset"], "test_dataloader.dataset")
    arguments = {key: value for key, value in settings.items() if key != "split"}
    arguments |= {"annotations": Annotations(tuple(classes), (video,)), "training": False}
    windows: ClipDataset = call(ClipDataset, arguments, "test_dataloader.dataset")
    _, _, height, width = windows[0].pixels_to("cpu").frames.shape
    most = _MAX_VOXELS // (height * width)
    if video.num_frames > most:
        raise ConfigError(
            f"{video.path} has {video.num_frames} frames, and gradient tubes of clips of {width} x {height} pixels fit "
            f"into memory up to {most} frames: cut the video"
        )
    return windows


def _find_tube(
    choice: TubeChoice, config: Config, model: DetectionModel, windows: ClipDataset, annotations: Annotations
) -> SeenTube:
    """Return the tube that is chosen, in the one video of the windows."""
    (video,), classes = windows.videos, annotations.classes
    if choice.ground_truth is not None:
        return choose_annotated(video, classes, action=choice.action, number=choice.ground_truth)
    linker = build_linker(config)
    if choice.detections is not None:
        tubes = read_tubes(choice.detections, annotations, video, linker)
    else:
        tubes = detect_tubes(model, windows, linker, _progress("detecting"))
    return choose_detected(tubes, classes, action=choice.action, rank=choice.rank)


def _progress(description: str, total: int | None = None) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Return what goes through things and shows how far it is, on the error stream."""
    return partial(track, description=description, total=total, console=Console(stderr=True))
