"""Which frames of a video make a clip, and on which keyframes to put clips."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from stal.errors import ConfigError, ShapeError
from stal.structures import Tube


def clip_frames(
    keyframe: int, num_frames_clip: int, stride: int, num_video_frames: int
) -> Int64[np.ndarray, " {num_frames_clip}"]:
    """Return the frames of the clip around a keyframe, which sits at index `num_frames_clip // 2` of the clip.

    A clip of 8 frames with stride 2 around keyframe 11:

        video    0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 ...
        clip              [0]   [1]   [2]   [3]   [4]   [5]   [6]   [7]
                                                 keyframe

    Frames before the start or after the end of the video are its first or last frame, repeated.

    Args:
        keyframe: 0-based frame of the video.
        num_frames_clip: frames of the clip.
        stride: frames of the video from one frame of the clip to the next.
        num_video_frames: frames of the video.

    Returns:
        0-based frames of the video, never falling.

    Raises:
        ConfigError: the clip has no frame, or the stride is not positive.
        ShapeError: the keyframe is not a frame of the video.
    """
    _check_window(num_frames_clip, stride)
    if not 0 <= keyframe < num_video_frames:
        raise ShapeError(f"keyframe {keyframe} is not in a video of {num_video_frames} frames; frames are 0-based")
    offsets = (np.arange(num_frames_clip, dtype=np.int64) - num_frames_clip // 2) * stride
    return (keyframe + offsets).clip(0, num_video_frames - 1)


def train_keyframes(tubes: Sequence[Tube]) -> Int64[np.ndarray, " K"]:
    """Return the frames on which a tube has a box, rising: a clip around one has an actor on its keyframe."""
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(tube.frames for tube in tubes)]))


def test_keyframes(num_video_frames: int, num_frames_clip: int, stride: int, step: int) -> Int64[np.ndarray, " K"]:
    """Return keyframes whose clips together cover a video, one every `step` frames.

    The first clip starts at the first frame of the video, and the last one is moved back to end at the last frame.
    4 frames with stride 2 and step 8, in a video of 19 frames:

        video     0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18
        clip 0   [0]   [1]   [2]   [3]                                      keyframe 4
        clip 1                           [0]   [1]   [2]   [3]              keyframe 12
        clip 2                                        [0]   [1]   [2]   [3] keyframe 16

    Every frame is in a clip or lies between two frames of clips that are at most `stride` apart.

    Args:
        num_video_frames: frames of the video.
        num_frames_clip: frames of a clip.
        stride: frames of the video from one frame of a clip to the next.
        step: frames of the video from one keyframe to the next, at most `num_frames_clip * stride`.

    Returns:
        0-based frames of the video, rising; a video shorter than a clip has one.

    Raises:
        ConfigError: the clip has no frame, the stride is not positive, or the step would leave frames uncovered.
    """
    _check_window(num_frames_clip, stride)
    if not 0 < step <= num_frames_clip * stride:
        raise ConfigError(
            f"step {step} between test clips must be between 1 and {num_frames_clip * stride}, the frames that a clip "
            f"of {num_frames_clip} frames with stride {stride} spans: a larger one leaves frames without detections"
        )
    before = num_frames_clip // 2 * stride
    after = (num_frames_clip - 1) * stride - before
    last = max(num_video_frames - 1 - after, before)
    return np.append(np.arange(before, last, step, dtype=np.int64), last).clip(max=num_video_frames - 1)


def _check_window(num_frames_clip: int, stride: int) -> None:
    if num_frames_clip < 1 or stride < 1:
        raise ConfigError(f"a clip of {num_frames_clip} frames with stride {stride}: both must be at least 1")
