"""The gradient tubes of all tubes that are shown, window by window, as heat on every frame."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32

from stal.attribution.methods import attribute
from stal.data.transforms import cut_boxes, to_clip_boxes
from stal.data.window_stream import Window
from stal.engine.model import DetectionModel
from stal.ops.tubelets import fill_frames
from stal.structures import Tube

NOTE = "heat: |d logit / d clip|, largest of a window = 1"


def stream_heat(
    model: DetectionModel, windows: Iterable[Window], tubes: Sequence[Tube]
) -> Iterator[Float32[np.ndarray, "h w"]]:
    """Give the heat of every frame, holding two windows.

    Args:
        model: a trained model.
        windows: of one video, which cover it, by rising keyframe.
        tubes: of this video.

    Yields:
        In [0, 1], for frame 0, 1, ... of the video; zero where there is no tube.
    """
    start = 0
    remaining = iter(windows)
    window = next(remaining, None)
    while window is not None:
        following = next(remaining, None)
        stop = int(window.clip.frame_indices[-1]) + 1
        if following is not None:  # a stride leaves out frames between the two
            stop = max(stop, int(following.clip.frame_indices[0]))
        yield from heat_of_frames(window, window_heat(model, window, tubes), range(start, stop))
        start, window = stop, following


def heat_of_frames(
    window: Window, heat: Float32[np.ndarray, "T h w"], frames: range
) -> Iterator[Float32[np.ndarray, "h w"]]:
    """Give the heat of consecutive frames; one that the window's stride leaves out has that of the last one before."""
    sampled, first = np.unique(window.clip.frame_indices.numpy(), return_index=True)
    yield from heat[first[np.searchsorted(sampled, np.asarray(frames), side="right") - 1]]


def window_heat(model: DetectionModel, window: Window, tubes: Sequence[Tube]) -> Float32[np.ndarray, "T h w"]:
    """Return the heat of the tubes that are in a window.

    A tube's is the absolute input gradient of its class logit, summed over colours and divided by its largest value; of
    several tubes the largest counts. A tube has none on frames that it is not on.
    """
    clip = window.clip
    frames, (height, width) = clip.frame_indices.numpy(), clip.video_size
    (normalized,) = model.data_preprocessor.prepare([clip]).batch.clips
    heat = np.zeros((len(frames), *normalized.shape[-2:]), np.float32)
    for tube in tubes:
        boxes, valid = (torch.from_numpy(values) for values in tube.boxes_at(frames))
        boxes, valid = cut_boxes(boxes, valid, height, width)
        if valid.any():
            (tubelet,) = fill_frames(to_clip_boxes(boxes, clip.to_video)[None], valid[None])
            gradient = attribute(model.detector, normalized, tubelet, tube.label).abs().sum(0)
            strength = gradient / gradient.max().clamp(min=torch.finfo(gradient.dtype).tiny)
            np.maximum(heat, strength.cpu().numpy() * valid.numpy()[:, None, None], out=heat)
    return heat
