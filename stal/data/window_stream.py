"""The test clips of a video that is read in order: no frame is decoded twice, and few are held."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8

from stal.data.sampling import clip_frames
from stal.data.transforms import Transform
from stal.structures import Clip


@dataclass(frozen=True, eq=False)
class Window:
    """A clip of a video, and what is between two of its frames.

    Attributes:
        clip: transformed, without actors.
        keyframe: the frame at index T // 2 of the clip, as it is in the video.
    """

    clip: Clip
    keyframe: UInt8[np.ndarray, "H W 3"]


def stream_windows(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    keyframes: Iterable[int],
    *,
    num_frames_clip: int,
    stride: int,
    transform: Transform,
    video_key: str,
) -> Iterator[Window]:
    """Give the clips around keyframes, each as soon as its last frame has come.

    With the keyframes of `test_keyframes` they are those that `ClipDataset` has for testing. Where the frames end
    before the keyframes do, as those of a camera, a last clip repeats the last frame, so that every frame is in a clip.
    Held are the transformed frames of a clip, and the keyframes of those clips that have begun.

    Args:
        frames: all frames of the video in order.
        keyframes: 0-based, rising; they may be endless.
        num_frames_clip: frames of a clip.
        stride: frames of the video from one frame of a clip to the next.
        transform: is given each frame as a clip of one; it does the same to every frame of a video, as in testing.
        video_key: of the clips.
    """
    span = num_frames_clip * stride
    after = (num_frames_clip - 1 - num_frames_clip // 2) * stride  # from the keyframe to the last frame
    held: dict[int, Clip] = {}
    begun: deque[tuple[int, np.ndarray]] = deque()
    upcoming = iter(keyframes)
    next_keyframe = next(upcoming, None)
    index, covered = -1, -1  # last frame that came, and last one that was in a clip

    def window(keyframe: int, image: np.ndarray) -> Window:
        indices = clip_frames(keyframe, num_frames_clip, stride, index + 1)
        return Window(_join([held[i] for i in indices.tolist()]), image)

    for index, image in enumerate(frames):
        held[index] = transform(_clip_of_one(image, index, video_key), np.random.default_rng(0))
        held.pop(index - span, None)
        if index == next_keyframe:
            begun.append((index, image))
            next_keyframe = next(upcoming, None)
        if begun and begun[0][0] + after <= index:
            yield window(*begun.popleft())
            covered = index
    if covered < index:
        yield window(*(begun[0] if begun else (index, image)))


def _clip_of_one(image: UInt8[np.ndarray, "H W 3"], index: int, video_key: str) -> Clip:
    height, width, _ = image.shape
    return Clip(
        frames=torch.from_numpy(image).permute(2, 0, 1)[:, None],
        boxes=torch.zeros(0, 1, 4),
        valid=torch.zeros(0, 1, dtype=torch.bool),
        labels=torch.zeros(0, dtype=torch.int64),
        actor_masks=None,
        video_key=video_key,
        frame_indices=torch.tensor([index]),
        to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
        video_size=(height, width),
    )


def _join(clips: list[Clip]) -> Clip:
    """Return clips of one frame each as one clip."""
    first, length = clips[0], len(clips)
    return Clip(
        frames=torch.cat([clip.frames for clip in clips], dim=1),
        boxes=torch.zeros(0, length, 4),
        valid=torch.zeros(0, length, dtype=torch.bool),
        labels=first.labels,
        actor_masks=None,
        video_key=first.video_key,
        frame_indices=torch.cat([clip.frame_indices for clip in clips]),
        to_video=first.to_video,
        video_size=first.video_size,
    )
