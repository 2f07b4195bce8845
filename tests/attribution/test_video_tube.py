import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.attribution.video_tube import WindowTube, stitch, window_of_frames
from stal.data import sampling


def windows_of(num_frames: int, num_frames_clip: int, stride: int, step: int) -> list[np.ndarray]:
    keyframes = sampling.test_keyframes(num_frames, num_frames_clip, stride, step)
    return [sampling.clip_frames(keyframe, num_frames_clip, stride, num_frames) for keyframe in keyframes.tolist()]


@pytest.mark.parametrize(
    ("video", "clip", "windows", "shown"),
    [
        (1, (4, 1, 4), [0], [0]),
        (3, (4, 1, 4), [0, 0, 0], [0, 1, 2]),  # shorter than a clip
        (4, (4, 1, 4), [0, 0, 0, 0], [0, 1, 2, 3]),
        (8, (4, 1, 4), [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 3, 4, 5, 6, 7]),
        (6, (4, 1, 4), [0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5]),  # the last one overlaps: each shows its half
        (9, (2, 4, 8), [0, 0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 4, 4, 4, 4, 8]),  # keyframes 4 and 8
        (16, (4, 2, 8), [0] * 8 + [1] * 5 + [2] * 3, [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 13, 13, 15]),
    ],
)
def test_each_frame_is_shown_by_one_window(video, clip, windows, shown):
    sampled = windows_of(video, *clip)
    window, position = window_of_frames(video, sampled)
    found = [int(sampled[w][p]) for w, p in zip(window, position, strict=True)]
    assert window.tolist() == windows
    assert found == shown


@settings(deadline=None)  # a busy machine is no error
@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 3), st.data())
def test_a_frame_is_shown_by_itself_if_its_window_has_it_and_else_by_one_close_to_it(video, length, stride, data):
    step = data.draw(st.integers(1, length * stride))
    sampled = windows_of(video, length, stride, step)
    keyframes = sampling.test_keyframes(video, length, stride, step)
    window, position = window_of_frames(video, sampled)
    assert len(window) == len(position) == video
    for frame in range(video):
        distance = abs(keyframes - frame)
        assert distance[window[frame]] == distance.min()
        own = sampled[window[frame]]
        assert abs(int(own[position[frame]]) - frame) < stride
        assert own[position[frame]] == frame or frame not in own
        assert position[frame] == np.flatnonzero(own == own[position[frame]])[0]


def test_windows_are_shown_as_signed_volume_and_magnitude():
    attribution = torch.zeros(2, 1, 2, 2)
    attribution[:, 0, 0, 0] = torch.tensor([3.0, -4.0])
    attribution[0, 0, 1, 1] = -2.0
    mask = torch.zeros(1, 2, 2, dtype=torch.bool)
    mask[0, 0] = True
    window = WindowTube.of_attribution(attribution, mask, 0.25)
    np.testing.assert_allclose(window.volume, [[[-0.5, 0], [0, -1]]])
    np.testing.assert_allclose(window.magnitude, [[[1, 0], [0, 2 / 7]]])
    assert (window.score, window.volume_share) == (0.25, 0.5)
    assert window.inside_share == pytest.approx(25 / 29)
    nothing = WindowTube.of_attribution(torch.zeros(1, 1, 2, 2), mask, 0.0)
    assert not nothing.volume.any() and not nothing.magnitude.any()


def test_a_video_has_every_window_at_its_frames_and_nothing_where_the_tube_is_not():
    sampled = windows_of(10, 4, 1, 4)  # frames 0 to 3, 4 to 7, 6 to 9

    def window(value: float) -> WindowTube:
        volume = (value + np.arange(4, dtype=np.float32))[:, None, None] * np.ones((4, 2, 3), np.float32)
        return WindowTube(-volume, volume, value, value / 100, value / 1000)

    boxes = np.zeros((10, 4), np.float32)
    tube = stitch(
        {0: window(10.0), 2: window(20.0)}, sampled, boxes, video_key="v", label=1, method="m", pathway="both"
    )
    assert tube.magnitude.shape == tube.volume.shape == (10, 2, 3)
    assert tube.magnitude[:, 0, 0].tolist() == [10, 11, 12, 13, 0, 0, 0, 21, 22, 23]
    np.testing.assert_array_equal(tube.volume, -tube.magnitude)
    nan = float("nan")
    np.testing.assert_array_equal(tube.scores, [10, 10, 10, 10, nan, nan, nan, 20, 20, 20])
    np.testing.assert_allclose(tube.inside_shares, tube.scores / 100)
    np.testing.assert_allclose(tube.volume_shares, tube.scores / 1000, rtol=1e-6)
    assert (tube.video_key, tube.label, tube.method, tube.pathway) == ("v", 1, "m", "both")
