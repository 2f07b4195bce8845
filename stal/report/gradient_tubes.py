"""The gradient tubes of one detector's checkpoint."""

from typing import get_args

import numpy as np
from mmengine.device import get_device

from stal.attribution.methods import Method
from stal.attribution.roi_score import Pathway
from stal.attribution.video_tube import VideoTube
from stal.data.clips import ClipDataset
from stal.engine.build import build, call
from stal.engine.config import with_options
from stal.engine.faults.checkpoint import load_weights
from stal.engine.runner import build_model
from stal.engine.tested_sets import read_tested_sets
from stal.errors import AnnotationError, ConfigError
from stal.report.work_dir import WorkDir
from stal.seeing.attribute import attribute_tube
from stal.structures import Annotations, Tube, Video


class TubeMaker:
    """Make gradient tubes of a checkpoint, on the videos of the set that its config tests on.

    Args:
        work_dir: the work directory, whose last checkpoint is taken.
        method: of the attribution.
        pathway: the way into the network that is looked at.

    Raises:
        CheckpointError: there is no checkpoint, or it is of another model.
        ConfigError: there is no such method or pathway.
    """

    def __init__(self, work_dir: WorkDir, method: Method = "input_gradient", pathway: Pathway = "both") -> None:
        for name, value, known in (("method", method, get_args(Method)), ("pathway", pathway, get_args(Pathway))):
            if value not in known:
                raise ConfigError(f"{name} {value!r} is none of {', '.join(known)}")
        self.method, self.pathway = method, pathway
        # Silhouettes are not looked at, and reading them takes as long as decoding the video.
        config = with_options(work_dir.config, {"test_dataloader.dataset.with_masks": False})
        (tested,) = read_tested_sets(config, [work_dir.own_set])
        self._classes = tested.annotations.classes
        self._videos = {video.key: video for video in tested.annotations.videos}
        settings = build(config.test_dataloader["dataset"], "test_dataloader.dataset")
        self._settings = {key: value for key, value in settings.items() if key != "split"}
        self._model = build_model(config)
        load_weights(self._model, work_dir.folder)
        self._model.to(get_device()).eval()
        self._made: dict[tuple[str, int, bytes], VideoTube] = {}

    def video(self, key: str) -> Video:
        """Return a video.

        Raises:
            AnnotationError: the config's data have no such video.
        """
        if key not in self._videos:
            raise AnnotationError(
                f"the detections are of a video {key!r}, which the config's data do not have: they were made with "
                "other data; test again, or name the data with --cfg-options data.path=..."
            )
        return self._videos[key]

    def make(self, key: str, tube: Tube) -> VideoTube:
        """Return the gradient tube of a tube's class in a video."""
        video = self.video(key)
        boxes, valid = tube.boxes_at(np.arange(video.num_frames))
        boxes = np.where(valid[:, None], boxes, np.float32(0))
        name = (key, tube.label, boxes.tobytes())
        if name not in self._made:
            arguments = {**self._settings, "annotations": Annotations(self._classes, (video,)), "training": False}
            windows = call(ClipDataset, arguments, "test_dataloader.dataset")
            self._made[name] = attribute_tube(
                self._model, windows, boxes, tube.label, method=self.method, pathway=self.pathway
            )
        return self._made[name]


def scene_reliance(tube: VideoTube) -> float:
    """Return how much of the gradient's energy lies outside the boxes, over what lies there if it is spread evenly.

    1 is what a gradient gives that knows nothing of the actor; 0, all of it is in the boxes.
    """
    known = ~np.isnan(tube.inside_shares)
    outside = 1 - tube.inside_shares[known].astype(np.float64)
    return float(outside.mean() / (1 - tube.volume_shares[known].astype(np.float64)).mean())
