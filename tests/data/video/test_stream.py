import itertools
from fractions import Fraction

import numpy as np
import pytest

from stal.data.video.reader import count_frames, read_frames
from stal.data.video.stream import open_stream
from stal.errors import DataNotFoundError, VideoReadError

KINDS = ["closed.mp4", "b_frames.mp4", "closed.mkv", "closed.avi", "b_frames.avi", "trimmed_b_frames.mp4", "folder"]


@pytest.mark.parametrize("name", KINDS)
def test_streamed_frames_are_those_that_are_read_by_number(videos, name):
    stream = open_stream(videos / name)
    frames = np.stack(list(stream.frames()))
    np.testing.assert_array_equal(frames, read_frames(videos / name, range(stream.num_frames)))
    assert frames.shape == (40, stream.height, stream.width, 3)
    assert (stream.fps, stream.has_fixed_rate) == (25, True)
    assert stream.seconds.tolist() == pytest.approx((np.arange(40) / 25).tolist())


@pytest.mark.parametrize("rotation", [90, 180])
def test_streamed_frames_are_turned(write_video, tmp_path, rotation):
    path = write_video(tmp_path / "turned.mp4", num_frames=3, rotation=rotation)
    stream = open_stream(path)
    frames = list(stream.frames())
    np.testing.assert_array_equal(np.stack(frames), read_frames(path, range(3)))
    assert frames[0].shape == (stream.height, stream.width, 3)
    assert frames[0].flags.c_contiguous


def test_frames_are_decoded_one_at_a_time(videos):
    first, second = itertools.islice(open_stream(videos / "closed.mp4").frames(), 2)
    np.testing.assert_array_equal(np.stack([first, second]), read_frames(videos / "closed.mp4", [0, 1]))


@pytest.mark.parametrize(
    ("times", "fps", "fixed"),
    [
        (range(5), Fraction(25), True),
        (range(7, 12), Fraction(25), True),  # the first frame is at 0 whatever its time
        ([0, 2, 4, 6, 8], Fraction(25, 2), True),
        ([0, 1, 2, 3, 8], Fraction(25), False),
        ([0], Fraction(25), True),
    ],
)
def test_a_rate_that_varies_is_told_by_times(write_video, tmp_path, times, fps, fixed):
    path = write_video(tmp_path / "paced.mp4", num_frames=len(times), times=list(times))
    stream = open_stream(path)
    assert (stream.fps, stream.has_fixed_rate) == (fps, fixed)
    assert stream.seconds.tolist() == pytest.approx([(time - times[0]) / 25 for time in times], abs=1e-4)


def test_times_in_milliseconds_are_those_of_the_rate_that_the_file_tells(write_video, tmp_path):
    path = tmp_path / "rounded.mkv"
    import av  # only this test writes another rate

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(31):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    streamed = open_stream(path)
    assert (streamed.fps, streamed.has_fixed_rate) == (30, True)
    assert streamed.seconds[-1] == pytest.approx(1.0)


def test_what_is_no_video_is_said(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"none\.mp4: there is no such video"):
        open_stream(tmp_path / "none.mp4")
    with pytest.raises(VideoReadError, match="the folder has no frames"):
        open_stream(tmp_path)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoReadError, match="FFmpeg cannot decode it"):
        open_stream(tmp_path / "text.mp4")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "fixed"),
    [("vfr.mp4", False), ("rot180.mp4", True), ("mpeg4_odd321x241.avi", True), ("start_pts_5s.mkv", True)],
)
def test_odd_files_stream_as_they_are_read(shared, name, fixed):
    path = shared / "media/torture" / name
    stream = open_stream(path)
    assert stream.num_frames == count_frames(path)
    assert stream.has_fixed_rate is fixed
    for index, frame in enumerate(stream.frames()):
        if index % 40 == 0:
            np.testing.assert_array_equal(frame, read_frames(path, [index])[0])
