"""The gradient tube of a whole video: those of its windows, one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from stal.attribution.scores import gradient_tube


@dataclass(frozen=True)
class VideoTube:
    """What the score of one tube comes from, on every frame of a video.

    Attributes:
        video_key: the video.
        label: the class.
        method: of the attribution.
        pathway: the way into the network that was looked at.
        volume: (T, h, w) signed, summed over colours, each window divided by its largest absolute value; h and w are
            those of the network's clips, which show the whole frame. Zero in windows without the tube.
        magnitude: (T, h, w) in [0, 1]: absolute values, summed over colours, each window divided by its largest.
        boxes: (T, 4) xyxy pixels of the video; no area where the tube is not.
        scores: (T,) class score, in [0, 1], of the window that a frame lies in; NaN where there is no tube.
        inside_shares: (T,) of that window: share of the attribution's energy inside the boxes; NaN where there is none.
        volume_shares: (T,) of that window: the boxes' share of the voxels; NaN where there is none.
    """

    video_key: str
    label: int
    method: str
    pathway: str
    volume: Float32[np.ndarray, "T h w"]
    magnitude: Float32[np.ndarray, "T h w"]
    boxes: Float32[np.ndarray, "T 4"]
    scores: Float32[np.ndarray, " T"]
    inside_shares: Float32[np.ndarray, " T"]
    volume_shares: Float32[np.ndarray, " T"]


@dataclass(frozen=True)
class WindowTube:
    """What the score of a tubelet comes from, in one window of a video.

    Attributes:
        volume: (S, h, w) signed, summed over colours, divided by its largest absolute value.
        magnitude: (S, h, w) in [0, 1]: absolute values, summed over colours, divided by the largest.
        score: class score of the tubelet, in [0, 1].
        inside_share: share of the attribution's energy inside the boxes.
        volume_share: the boxes' share of the voxels.
    """

    volume: Float32[np.ndarray, "S h w"]
    magnitude: Float32[np.ndarray, "S h w"]
    score: float
    inside_share: float
    volume_share: float

    @classmethod
    def of_attribution(
        cls, attribution: Float32[Tensor, "C S h w"], tubelet_mask: Bool[Tensor, "S h w"], score: float
    ) -> "WindowTube":
        """Return what is shown of an attribution.

        Args:
            attribution: signed.
            tubelet_mask: True in the boxes.
            score: class score of the tubelet.
        """
        tube = gradient_tube(attribution, tubelet_mask)
        volume = attribution / attribution.abs().max().clamp(min=torch.finfo(attribution.dtype).tiny)
        volume = volume.sum(0)
        volume = volume / volume.abs().max().clamp(min=torch.finfo(attribution.dtype).tiny)
        return cls(volume.cpu().numpy(), tube.saliency.cpu().numpy(), score, tube.inside_share, tube.volume_share)


def stitch(
    windows: Mapping[int, WindowTube],
    frames: Sequence[Int64[np.ndarray, " S"]],
    boxes: Float32[np.ndarray, "T 4"],
    **about: Any,
) -> VideoTube:
    """Return the gradient tube of a video, every frame of which is shown by one window.

    Args:
        windows: by its number, each one that has the tube; at least one.
        frames: the frames of the video of every window, see `window_of_frames`.
        boxes: xyxy pixels of the video; no area where the tube is not.
        about: the other attributes of the `VideoTube`.
    """
    num_frames = len(boxes)
    size = next(iter(windows.values())).volume.shape[1:]
    volume, magnitude = (np.zeros((num_frames, *size), np.float32) for _ in range(2))
    scores, inside_shares, volume_shares = (np.full(num_frames, np.nan, np.float32) for _ in range(3))
    shown_by, position = window_of_frames(num_frames, frames)
    for number, window in windows.items():
        own = shown_by == number
        volume[own] = window.volume[position[own]]
        magnitude[own] = window.magnitude[position[own]]
        scores[own], inside_shares[own], volume_shares[own] = window.score, window.inside_share, window.volume_share
    return VideoTube(
        volume=volume,
        magnitude=magnitude,
        boxes=boxes,
        scores=scores,
        inside_shares=inside_shares,
        volume_shares=volume_shares,
        **about,
    )


def window_of_frames(
    num_frames: int, windows: Sequence[Int64[np.ndarray, " S"]]
) -> tuple[Int64[np.ndarray, " T"], Int64[np.ndarray, " T"]]:
    """Return for every frame of a video which window shows it, and which frame of the window that is.

    Where windows overlap, a frame is that of the window with the nearest keyframe, which sees as much before it as
    after; of two equally near ones, the later. A frame that a stride leaves out is shown by the window's last one
    before it, or by its first.

    Args:
        num_frames: of the video.
        windows: the frames of the video of each window, by rising keyframe, which is in the middle. Of a frame that is
            repeated, as the last one is where a window goes beyond the video's end, it is the first copy.
    """
    frames = np.arange(num_frames)
    keyframes = np.array([window[len(window) // 2] for window in windows])
    window = np.searchsorted((keyframes[1:] + keyframes[:-1] + 1) // 2, frames, side="right")
    position = np.zeros(num_frames, np.int64)
    for number, sampled in enumerate(windows):
        unique, first = np.unique(sampled, return_index=True)
        own = window == number
        before = np.searchsorted(unique, frames[own], side="right") - 1
        position[own] = first[before.clip(min=0)]
    return window, position
