"""The gradient tube of a whole video, made window by window."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from jaxtyping import Float

from stal.attribution.methods import Method, attribute
from stal.attribution.roi_score import Pathway, class_score
from stal.attribution.video_tube import VideoTube, WindowTube, stitch
from stal.data.clips import ClipDataset
from stal.data.sampling import clip_frames, test_keyframes
from stal.data.transforms import cut_boxes, to_clip_boxes
from stal.engine.model import DetectionModel
from stal.errors import ConfigError, ShapeError
from stal.ops.masks import box_masks
from stal.ops.tubelets import fill_frames

Progress = Callable[[range], Iterable[int]]


def attribute_tube(
    model: DetectionModel,
    windows: ClipDataset,
    boxes: Float[np.ndarray, "T 4"],
    label: int,
    *,
    method: Method = "input_gradient",
    pathway: Pathway = "both",
    seed: int = 0,
    progress: Progress = iter,
) -> VideoTube:
    """Return what the score of one tube of a video comes from.

    In each window the tube is a tubelet, as an actor is in training: on frames without a box it has that of the nearest
    frame with one. Windows in which the tube has no box are not looked at.

    Args:
        model: a trained model.
        windows: the test clips of one video, which cover it.
        boxes: xyxy pixels of the video, on each of its frames, of a tube detected or annotated; no area where it is
            not.
        label: the class.
        method: of the attribution, see `attribute`.
        pathway: the way into the network that is looked at, see `RoiScore`.
        seed: of what is drawn.
        progress: goes through the numbers of the windows, and may show how far it is, as `rich.progress.track` does.

    Raises:
        ConfigError: the windows are of training, or of several videos, or the label is no class of theirs.
        ShapeError: there is not one box for each frame, or no window has a box.
    """
    if windows.training or len(windows.videos) != 1:
        raise ConfigError(
            f"a gradient tube is made of the test clips of one video; these are of {len(windows.videos)} videos, with "
            f"training={windows.training}"
        )
    (video,), num_classes = windows.videos, len(windows.annotations.classes)
    if not 0 <= label < num_classes:
        raise ConfigError(f"label {label} is no class: those of {video.key} are numbered from 0 to {num_classes - 1}")
    if len(boxes) != video.num_frames:
        raise ShapeError(
            f"{video.key} has {video.num_frames} frames, but there are {len(boxes)} boxes; give each its own"
        )
    boxes = boxes.astype(np.float32)
    given = torch.from_numpy(boxes)
    cut, valid = cut_boxes(given, (given[:, 2:] > given[:, :2]).all(1), video.height, video.width)
    keyframes = test_keyframes(video.num_frames, windows.num_frames_clip, windows.stride, windows.step)
    sampled = [clip_frames(k, windows.num_frames_clip, windows.stride, video.num_frames) for k in keyframes.tolist()]
    generator = torch.Generator().manual_seed(seed)
    tubes: dict[int, WindowTube] = {}
    for number in progress(range(len(windows))):
        boxes_window, valid_window = cut[sampled[number]], valid[sampled[number]]
        if valid_window.any():
            clip = windows[number].pixels_to("cpu")
            (normalized,) = model.data_preprocessor.prepare([clip]).batch.clips
            (tubelet,) = fill_frames(to_clip_boxes(boxes_window, clip.to_video)[None], valid_window[None])
            attribution = attribute(
                model.detector, normalized, tubelet, label, method=method, pathway=pathway, generator=generator
            )
            mask = box_masks(tubelet, *normalized.shape[-2:]) & valid_window[:, None, None]
            score = class_score(model.detector, normalized, tubelet, label)
            tubes[number] = WindowTube.of_attribution(attribution, mask.to(attribution.device), score)
    if not tubes:
        raise ShapeError(f"the tube has no box with an area on any frame of {video.key} that the network sees")
    return stitch(tubes, sampled, boxes, video_key=video.key, label=label, method=method, pathway=pathway)
