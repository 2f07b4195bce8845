from fractions import Fraction

import av
import numpy as np
import pytest

from stal.errors import ConfigError, ShapeError
from stal.visualize.video_writer import VideoWriter


def ramp(num_frames, height=32, width=48):
    """Return even frames that get brighter."""
    values = np.linspace(20, 230, num_frames).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (num_frames, height, width, 3)).copy()


def write(path, frames, fps=25, times=None):
    with VideoWriter(path, fps, frames.shape[1:3]) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, None if times is None else times[index])


def read(path):
    """Return the frames, their times, and how long the video is."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        pixels = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
        return pixels, [float(frame.pts * stream.time_base) for frame in frames], stream.duration * stream.time_base


@pytest.mark.parametrize(
    ("num_frames", "height", "width", "even"),
    [(1, 2, 2, (2, 2)), (1, 32, 48, (32, 48)), (60, 32, 48, (32, 48)), (5, 33, 47, (32, 46))],
)
def test_frames_are_written_without_the_last_row_and_column_of_odd_sizes(tmp_path, num_frames, height, width, even):
    frames = ramp(num_frames, height, width)
    write(tmp_path / "new" / "a.mp4", frames)
    decoded, _, _ = read(tmp_path / "new" / "a.mp4")
    assert decoded.shape == (num_frames, *even, 3)
    assert np.abs(decoded.astype(int) - frames[:, : even[0], : even[1]]).max() <= 6
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.mp4"]


def test_colours_are_kept_and_declared(tmp_path):
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, :32], frame[:, 32:] = (200, 30, 60), (20, 180, 220)
    write(tmp_path / "a.mp4", frame[None])
    decoded, _, _ = read(tmp_path / "a.mp4")
    assert np.abs(decoded[0, :, [4, 60]].astype(int) - frame[:, [4, 60]].swapaxes(0, 1)).max() <= 6
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (5, 1)  # BT.601 of 625 lines, limited


def test_the_index_comes_before_the_frames_so_that_playing_starts_at_once(tmp_path):
    write(tmp_path / "a.mp4", ramp(5))
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (25, Fraction(25)),
        (25.0, Fraction(25)),
        (30000 / 1001, Fraction(30000, 1001)),
        (59.94005994, Fraction(60000, 1001)),
        (Fraction(2997, 100), Fraction(2997, 100)),
        (0.4, Fraction(2, 5)),
    ],
)
def test_a_fixed_rate_is_exact_and_the_last_frame_lasts_as_long_as_the_others(tmp_path, fps, rate):
    write(tmp_path / "a.mp4", ramp(7), fps)
    _, _, duration = read(tmp_path / "a.mp4")
    assert duration == 7 / rate
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == rate


@pytest.mark.parametrize("times", [[0.0], [0.0, 0.1, 0.25, 0.9, 1.0], [0.0, 1 / 90000, 2.0]])
def test_frames_keep_times_of_their_own(tmp_path, times):
    write(tmp_path / "a.mp4", ramp(len(times)), fps=10, times=times)
    _, shown, duration = read(tmp_path / "a.mp4")
    assert shown == pytest.approx(times, abs=1e-6)
    assert float(duration) == pytest.approx(times[-1] + 0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([0.0, None], "frame 1: give the time of every frame"),
        ([None, 0.1], "frame 1: give the time of every frame"),
        ([0.5, 0.5], "frame 1 is shown at 0.5 s, and the one before at 0.500000"),
        ([0.5, 0.4], "frame 1 is shown at 0.4 s"),
        ([-0.1], "frame 0 is shown at -0.1 s"),
    ],
)
def test_times_that_cannot_be_are_refused(tmp_path, times, said):
    with pytest.raises(ShapeError, match=said):
        write(tmp_path / "a.mp4", ramp(len(times)), times=times)


def test_a_frame_of_another_size_is_refused(tmp_path):
    with (
        pytest.raises(ShapeError, match="frame 1 has 20 x 16 pixels, but the video 48 x 32"),
        VideoWriter(tmp_path / "a.mp4", 25, (32, 48)) as writer,
    ):
        writer.write(ramp(1)[0])
        writer.write(ramp(1, 16, 20)[0])


@pytest.mark.parametrize("fps", [0, -1.0, float("inf"), float("nan")])
def test_a_rate_is_above_zero(tmp_path, fps):
    with pytest.raises(ConfigError, match="rate of a video is above 0"):
        VideoWriter(tmp_path / "a.mp4", fps, (32, 48))


def test_a_video_has_a_frame_of_at_least_two_pixels_a_side(tmp_path):
    with pytest.raises(ShapeError, match="at least 2 x 2"):
        VideoWriter(tmp_path / "a.mp4", 25, (1, 48))
    with pytest.raises(ShapeError, match="none was written"), VideoWriter(tmp_path / "a.mp4", 25, (32, 48)):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, error):
    (tmp_path / "a.mp4").write_text("before")
    with pytest.raises(error), VideoWriter(tmp_path / "a.mp4", 25, (32, 48)) as writer:
        writer.write(ramp(1)[0])
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "before"


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(ConfigError, match=r"a\.mp4: this is a folder"):
        write(tmp_path / "a.mp4", ramp(1))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        write(tmp_path / "file" / "a.mp4", ramp(1))
