import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.data import sampling
from stal.errors import ConfigError, ShapeError
from stal.structures import Tube


def tubes_of(*tube_frames: list[int]) -> list[Tube]:
    boxes = np.array([0, 0, 4, 4], np.float32)
    return [
        Tube(label=0, id=i, frames=np.array(frames), boxes=np.tile(boxes, (len(frames), 1)))
        for i, frames in enumerate(tube_frames)
    ]


@pytest.mark.parametrize(
    ("keyframe", "num_frames_clip", "stride", "num_video_frames", "expected"),
    [
        (11, 8, 2, 40, [3, 5, 7, 9, 11, 13, 15, 17]),
        (5, 3, 1, 40, [4, 5, 6]),
        (0, 4, 2, 40, [0, 0, 0, 2]),  # starts before the video
        (39, 4, 2, 40, [35, 37, 39, 39]),  # ends after it
        (0, 4, 1, 1, [0, 0, 0, 0]),  # one frame
        (7, 1, 9, 40, [7]),
    ],
)
def test_a_clip_is_centred_on_its_keyframe_and_clamped(keyframe, num_frames_clip, stride, num_video_frames, expected):
    assert sampling.clip_frames(keyframe, num_frames_clip, stride, num_video_frames).tolist() == expected


@pytest.mark.parametrize("keyframe", [-1, 40])
def test_a_keyframe_outside_the_video_is_an_error(keyframe):
    with pytest.raises(ShapeError, match=f"keyframe {keyframe} is not in a video of 40 frames"):
        sampling.clip_frames(keyframe, 8, 1, 40)


@pytest.mark.parametrize(("num_frames_clip", "stride"), [(0, 1), (4, 0), (4, -2)])
def test_a_window_without_frames_is_an_error(num_frames_clip, stride):
    with pytest.raises(ConfigError, match=f"{num_frames_clip} frames with stride {stride}"):
        sampling.clip_frames(0, num_frames_clip, stride, 40)


def test_train_keyframes_are_the_frames_on_which_any_tube_has_a_box():
    assert sampling.train_keyframes(tubes_of([3, 4, 9], [4, 5])).tolist() == [3, 4, 5, 9]
    assert sampling.train_keyframes(tubes_of([7])).tolist() == [7]
    assert sampling.train_keyframes(tubes_of()).tolist() == []


@pytest.mark.parametrize(
    ("num_video_frames", "num_frames_clip", "stride", "step", "expected"),
    [
        (19, 4, 2, 8, [4, 12, 16]),
        (16, 4, 1, 4, [2, 6, 10, 14]),  # tiles exactly
        (17, 4, 1, 4, [2, 6, 10, 14, 15]),
        (5, 4, 2, 8, [4]),  # shorter than a clip
        (1, 8, 2, 16, [0]),
        (3, 1, 1, 1, [0, 1, 2]),
    ],
)
def test_keyframes_for_testing(num_video_frames, num_frames_clip, stride, step, expected):
    assert sampling.test_keyframes(num_video_frames, num_frames_clip, stride, step).tolist() == expected


@given(st.data(), st.integers(1, 60), st.integers(1, 9), st.integers(1, 4))
def test_clips_for_testing_cover_every_frame(data, num_video_frames, num_frames_clip, stride):
    step = data.draw(st.integers(1, num_frames_clip * stride))
    keyframes = sampling.test_keyframes(num_video_frames, num_frames_clip, stride, step)
    clips = [sampling.clip_frames(int(k), num_frames_clip, stride, num_video_frames) for k in keyframes]
    sampled = np.unique(np.concatenate(clips))
    assert sampled[0] == 0 and sampled[-1] == num_video_frames - 1
    assert (np.diff(sampled) <= stride).all()
    assert (np.diff(keyframes) > 0).all() and (np.diff(keyframes) <= step).all()


@pytest.mark.parametrize("step", [0, 9])
def test_a_step_that_leaves_frames_out_is_an_error(step):
    with pytest.raises(ConfigError, match=f"step {step} .* between 1 and 8"):
        sampling.test_keyframes(100, 4, 2, step)
