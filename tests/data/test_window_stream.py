import itertools

import numpy as np
import pytest
import torch

from stal.data.clips import ClipDataset
from stal.data.sampling import test_keyframes as keyframes_of
from stal.data.transforms import TestTransform
from stal.data.video.reader import count_frames, read_frames
from stal.data.window_stream import stream_windows
from stal.structures import Annotations, Video

HEIGHT, WIDTH = 12, 16


def pictures(num_frames):
    return np.random.default_rng(0).integers(0, 256, (num_frames, HEIGHT, WIDTH, 3)).astype(np.uint8)


def windows_of(frames, keyframes, length=8, stride=1, size=(9, 11)):
    return list(
        stream_windows(
            iter(frames),
            keyframes,
            num_frames_clip=length,
            stride=stride,
            transform=TestTransform(size=size),
            video_key="v",
        )
    )


@pytest.mark.parametrize("num_frames", [1, 3, 8, 9, 16, 30])
@pytest.mark.parametrize(("length", "stride", "step"), [(8, 1, 8), (8, 1, 3), (4, 2, 8), (4, 2, 5), (1, 1, 1)])
def test_the_windows_are_the_test_clips_of_the_data_set(tmp_path, num_frames, length, stride, step):
    frames = pictures(num_frames)
    video = Video("v", tmp_path, num_frames, HEIGHT, WIDTH)
    transform = TestTransform(size=(9, 11))
    dataset = ClipDataset(Annotations(("a",), (video,)), length, stride, transform, training=False, step=step)
    dataset._read_frames = lambda video, indices: frames[indices]  # in place of a file
    dataset._find_damage = lambda video: None
    found = windows_of(frames, keyframes_of(num_frames, length, stride, step).tolist(), length, stride)
    assert len(found) == len(dataset)
    for window, clip in zip(found, (dataset[i] for i in range(len(dataset))), strict=True):
        torch.testing.assert_close(window.clip.frames, clip.frames, rtol=0, atol=0)
        for name in ("boxes", "valid", "labels", "frame_indices", "to_video"):
            torch.testing.assert_close(getattr(window.clip, name), getattr(clip, name))
        assert (window.clip.video_key, window.clip.video_size) == (clip.video_key, clip.video_size)
        keyframe = int(clip.frame_indices[length // 2])
        np.testing.assert_array_equal(window.keyframe, frames[keyframe])


@pytest.mark.parametrize("num_frames", [1, 3, 7, 8, 9, 15, 16, 17, 30])
@pytest.mark.parametrize("step", [2, 8])
def test_endless_keyframes_cover_every_frame_once_it_is_known_to_be_the_last(num_frames, step):
    found = windows_of(pictures(num_frames), itertools.count(4, step))
    last = [int(window.clip.frame_indices[-1]) for window in found]
    assert last[-1] == num_frames - 1
    assert last == sorted(set(last))
    covered = np.unique(torch.cat([window.clip.frame_indices for window in found]))
    assert covered.tolist() == list(range(num_frames))


def test_a_window_comes_with_its_last_frame():
    taken = []

    def frames():
        for index, frame in enumerate(pictures(30)):
            taken.append(index)
            yield frame

    stream = stream_windows(
        frames(),
        itertools.count(4, 3),
        num_frames_clip=8,
        stride=1,
        transform=TestTransform(size=(4, 4)),
        video_key="v",
    )
    for last in (7, 10, 13):
        assert int(next(stream).clip.frame_indices[-1]) == last
        assert taken[-1] == last


def test_no_frames_give_no_windows():
    assert windows_of([], itertools.count(4, 8)) == []


@pytest.mark.data
def test_the_windows_of_a_real_video_are_those_of_the_data_set(shared):
    path = shared / "media/torture/vfr.mp4"
    height, width = read_frames(path, [0]).shape[1:3]
    video = Video("v", path, count_frames(path), height, width)
    dataset = ClipDataset(Annotations(("a",), (video,)), 16, 2, TestTransform(size=(24, 32)), training=False, step=20)
    frames = read_frames(path, range(video.num_frames))
    found = windows_of(frames, keyframes_of(video.num_frames, 16, 2, 20).tolist(), 16, 2, (24, 32))
    assert len(found) == len(dataset)
    for window, clip in zip(found, (dataset[i] for i in range(len(dataset))), strict=True):
        torch.testing.assert_close(window.clip.frames, clip.frames, rtol=0, atol=0)
