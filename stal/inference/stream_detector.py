"""A trained detector for videos that are read in order, whatever they show: made of a config and a checkpoint."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor

from stal.data.proposals import ProposalFile, to_clip_boxes
from stal.data.sampling import test_keyframes
from stal.data.transforms import Transform
from stal.data.window_stream import Window, stream_windows
from stal.engine.build import build
from stal.engine.config import load_config, with_options
from stal.engine.faults.checkpoint import load_weights, read_classes
from stal.engine.model import DetectionModel, clip_result
from stal.engine.runner import build_linker, build_model
from stal.errors import ConfigError
from stal.inference.batches import FittingBatches
from stal.linking.linker import Linker
from stal.linking.merging import WindowTubelets
from stal.models.person_detector import PersonDetector
from stal.structures import Clip

Propose = Callable[[Window], Float32[Tensor, "_ 4"]]


@dataclass(frozen=True, eq=False)
class StreamDetector:
    """Detect in the windows of a video.

    Attributes:
        model: with its weights, on its device.
        classes: names of the classes.
        linker: makes tubes of detections.
        transform: of every frame, as in testing.
        num_frames_clip: frames of a window.
        stride: frames of the video from one frame of a window to the next.
        step: frames of the video from one window to the next.
        batch_size: windows that go through the network at once, as long as the memory is enough for them.
        propose: gives boxes on the keyframe of a window, xyxy pixels of its clip; None for the model's own.
        proposed_videos: keys of the videos that `propose` knows; None for any.
    """

    model: DetectionModel
    classes: tuple[str, ...]
    linker: Linker
    transform: Transform
    num_frames_clip: int
    stride: int
    step: int
    batch_size: int
    propose: Propose | None
    proposed_videos: Container[str] | None = None

    @property
    def first_keyframe(self) -> int:
        """The keyframe of the window that starts at frame 0."""
        return self.num_frames_clip // 2 * self.stride

    @property
    def num_frames_covered(self) -> int:
        """Frames of the video from the first to the last of a window."""
        return (self.num_frames_clip - 1) * self.stride + 1

    def windows(
        self, frames: Iterable[UInt8[np.ndarray, "H W 3"]], keyframes: Iterable[int], video_key: str
    ) -> Iterator[Window]:
        """Return the windows around keyframes, see `stream_windows`.

        Windows that overlap share what is done frame by frame: a frame is decoded, transformed and sent to the device
        once.
        """
        return stream_windows(
            frames,
            keyframes,
            num_frames_clip=self.num_frames_clip,
            stride=self.stride,
            transform=self._to_device,
            video_key=video_key,
        )

    def keyframes(self, num_frames: int, step: int | None = None) -> list[int]:
        """Return keyframes whose windows cover a video, one every `step` frames; None for the detector's own step."""
        return test_keyframes(num_frames, self.num_frames_clip, self.stride, step or self.step).tolist()

    def detect(self, windows: Iterable[Window]) -> Iterator[WindowTubelets]:
        """Give what is seen in each window, in pixels of the video; at most a batch of windows is held.

        Raises:
            DeviceMemoryError: the memory is not enough for one window.
        """
        return self._batches.map(self._detect_batch, windows)

    @cached_property
    def _batches(self) -> FittingBatches:
        return FittingBatches(self.batch_size)

    def _to_device(self, clip: Clip, generator: np.random.Generator) -> Clip:
        return self.transform(clip, generator).pixels_to(self.model.data_preprocessor.device)

    def _detect_batch(self, batch: list[Window]) -> list[WindowTubelets]:
        clips = self.model.data_preprocessor.prepare([window.clip for window in batch]).batch.clips
        proposals = None
        if self.propose is not None:
            proposals = [self.propose(window).to(clips.device) for window in batch]
        seen = self.model.detector.predict(clips, proposals)
        found = [clip_result(tubelets, window.clip) for tubelets, window in zip(seen, batch, strict=True)]
        return [(of.frames, of.boxes, of.presence[:, :, None] * of.class_scores[:, None]) for of in found]


def load_detector(
    config_path: str,
    checkpoint: str,
    *,
    proposals: str = "network",
    step: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> StreamDetector:
    """Return the detector of a config with the weights and the classes of a checkpoint; no data set is looked for.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        proposals: where boxes on keyframes come from: the model (`network`), torchvision's person detector
            (`torchvision`), or a detections file (`*.npz`, see `ProposalFile`).
        step: frames of the video from one window to the next; None for that of the config's tests.
        batch_size: windows that go through the network at once; None for that of the config's tests.
        device: of torch, such as `cuda:1`; None for the best that is there.
        options: settings of the config to change.

    Raises:
        ConfigError: the config, or one of the arguments, cannot be used.
        CheckpointError: the checkpoint cannot be used, or does not name its classes.
    """
    config = with_options(load_config(config_path), options or {})
    if proposals == "network":
        refuse_own_proposals(config, config_path, "give it proposals (--proposals torchvision, or a file)")
    classes = read_classes(checkpoint)
    place = _checked_device(device or get_device())
    proposal_file = ProposalFile(proposals) if proposals.endswith(".npz") else None
    propose = _build_proposer(proposal_file or proposals, place)
    model = load_trained_model(config, checkpoint).to(place)
    testing = build(config.test_dataloader, "test_dataloader")
    clips = testing["dataset"]
    span = clips["num_frames_clip"] * clips["stride"]
    if step is not None and not 0 < step <= span:
        raise ConfigError(f"--step {step}: between 1 and {span}, the frames that a window spans, or some are in none")
    return StreamDetector(
        model=model,
        classes=classes,
        linker=build_linker(config),
        transform=clips["transform"],
        num_frames_clip=clips["num_frames_clip"],
        stride=clips["stride"],
        step=step or clips.get("step") or span,
        batch_size=batch_size or testing.get("batch_size", 1),
        propose=propose,
        proposed_videos=proposal_file,
    )


def load_trained_model(config: Config, checkpoint: str) -> DetectionModel:
    """Return the model of a config with the weights of a checkpoint, in evaluation mode.

    Raises:
        CheckpointError: the checkpoint cannot be used.
    """
    model = build_model(with_options(config, {"model.proposals": "network"}))
    load_weights(model, checkpoint)
    return model.eval()


def refuse_own_proposals(config: Config, config_path: str, remedy: str) -> None:
    """Raise a ConfigError if the detector of a config did not learn to propose boxes."""
    trained_on = config.model.get("proposals", "network")
    if trained_on != "network":
        raise ConfigError(
            f"model.proposals = {trained_on!r} in {config_path}: this detector was not trained to find actors itself; "
            f"{remedy}"
        )


def _build_proposer(proposals: str | ProposalFile, device: torch.device) -> Propose | None:
    """Return what gives boxes on keyframes, None for the model itself."""
    if proposals == "network":
        return None
    if isinstance(proposals, ProposalFile):
        return lambda window: proposals.keyframe_boxes(window.clip)
    if proposals != "torchvision":
        raise ConfigError(f"--proposals {proposals!r} is neither 'network', 'torchvision' nor an .npz file")
    find_people = PersonDetector().to(device)

    def propose(window: Window) -> Float32[Tensor, "_ 4"]:
        clip = window.clip
        boxes = torch.from_numpy(find_people(window.keyframe))
        return to_clip_boxes(boxes, clip.to_video, (clip.frames.shape[2], clip.frames.shape[3]))

    return propose


def _checked_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts that it has it
        raise ConfigError(f"--device {name}: {str(error).splitlines()[0]}; name another, such as cpu") from error
    return device
