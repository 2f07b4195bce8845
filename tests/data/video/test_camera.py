import itertools

import numpy as np
import pytest

from stal.data.video.camera import iterate_camera
from stal.errors import DataNotFoundError, VideoReadError


def test_a_file_that_stands_for_a_camera_gives_its_frames_and_times(videos, decode_all):
    frames, seconds = zip(*iterate_camera(str(videos / "closed.mp4")), strict=True)
    np.testing.assert_array_equal(np.stack(frames), decode_all(videos / "closed.mp4"))
    assert seconds == pytest.approx(np.arange(40) / 25)


def test_times_rise_even_where_the_source_does_not_say_so(videos):
    seconds = [time for _, time in iterate_camera(str(videos / "b_frames.avi"))]
    assert seconds[0] == 0
    assert (np.diff(seconds) > 0).all()


def test_frames_come_one_at_a_time(videos, numbers):
    frames = [frame for frame, _ in itertools.islice(iterate_camera(str(videos / "closed.mp4")), 3)]
    assert numbers(np.stack(frames)) == [0, 1, 2]


def test_a_camera_that_is_not_there_is_said_with_those_that_are():
    with pytest.raises(DataNotFoundError, match=r"no camera /dev/video97; the cameras of this computer: "):
        next(iterate_camera("97"))


def test_what_is_no_camera_is_said(tmp_path):
    (tmp_path / "text").write_text("no frames")
    with pytest.raises(VideoReadError, match="the camera cannot be read"):
        next(iterate_camera(str(tmp_path / "text")))
