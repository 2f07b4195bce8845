import dataclasses

import numpy as np
import pytest

from stal.data.formats.tubes_json import read_tubes_json
from stal.data.prepare.frame_folders import FrameFolders
from stal.data.prepare.prepare import prepare
from stal.data.prepare.seekable_video import SeekableVideos
from stal.data.ucf24 import read_ucf24
from stal.data.video.frame_table import frame_table
from stal.data.video.reader import read_frames
from stal.structures import Annotations, Video

EMPTY_PACKETS = "Biking/v_Biking_g22_c03"
KEYS = (EMPTY_PACKETS, "CliffDiving/v_CliffDiving_g21_c01", "Skiing/v_Skiing_g01_c05")


@pytest.fixture(scope="module")
def annotations(shared):
    """Three videos of UCF101-24, one of which has empty packets, and a clip of JHMDB with a wrong header."""
    data_set = read_ucf24(
        video_root=shared / "media/ucf24_real/videos",
        annotation_file=shared / "annotations/ucf24/pyannot.pkl",
        test_list=shared / "annotations/ucf24/testlist01.txt",
        allow_missing=True,
    )
    clip = shared / "media/jhmdb_real/Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2.avi"
    videos = [video for video in data_set.videos if video.key in KEYS]
    return Annotations(data_set.classes, (*videos, Video("catch/clip", clip, 40, 240, 320, split="test")))


@pytest.mark.data
@pytest.mark.parametrize("kind", [SeekableVideos(), FrameFolders(), FrameFolders(None)], ids=["mp4", "jpg", "png"])
def test_copies_of_real_videos_have_their_frames(annotations, tmp_path, kind):
    result = prepare(annotations, tmp_path / "out", kind)
    assert (result.num_made, result.bad) == (len(annotations.videos), {})
    assert result.rules == {"order": len(annotations.videos) - 1, "time": 1}
    for video, copy in zip(annotations.videos, read_tubes_json(result.annotations_file).videos, strict=True):
        assert copy.num_frames == video.num_frames
        for start in range(0, video.num_frames, 64):
            indices = np.arange(start, min(start + 64, video.num_frames))
            source = read_frames(video.path, indices, num_frames=video.num_frames).astype(int)
            difference = read_frames(copy.path, indices, num_frames=video.num_frames) - source
            mean_square = (difference**2).mean(axis=(1, 2, 3))
            assert mean_square.max() < (1e-9 if kind == FrameFolders(None) else 65)  # 65: 30 dB
            assert np.abs(difference.mean()) < 0.5  # no shift of colours


@pytest.mark.data
def test_clips_of_a_copy_are_those_of_a_sequential_decode(annotations, tmp_path):
    (video,) = [video for video in annotations.videos if video.key == EMPTY_PACKETS]
    prepare(dataclasses.replace(annotations, videos=(video,)), tmp_path / "out", SeekableVideos())
    copy = tmp_path / f"out/videos/{EMPTY_PACKETS}.mp4"
    table = frame_table(copy)
    assert (table.is_seekable, table.decord_is_exact) == (True, True)
    expected = read_frames(copy, range(video.num_frames))
    rng = np.random.default_rng(0)
    for start in rng.integers(video.num_frames, size=12):
        indices = (start + 2 * np.arange(32)).clip(max=video.num_frames - 1)
        np.testing.assert_array_equal(read_frames(copy, indices, num_frames=video.num_frames), expected[indices])
