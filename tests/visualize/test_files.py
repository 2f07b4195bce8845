from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from stal.visualize.files import write_gif, write_strip, write_video


def ramp(num_frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Return even frames that get brighter."""
    values = np.linspace(20, 230, num_frames).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (num_frames, height, width, 3)).copy()


@pytest.mark.parametrize(
    ("num_frames", "height", "width", "even"),
    [(1, 32, 48, (32, 48)), (7, 32, 48, (32, 48)), (5, 33, 47, (32, 46))],
)
def test_a_video_decodes_to_what_was_written(tmp_path, num_frames, height, width, even):
    frames = ramp(num_frames, height, width)
    path = tmp_path / "new" / "folder" / "a.mp4"
    write_video(path, frames, fps=25.0)
    with av.open(str(path)) as container:
        (stream,) = container.streams
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
    assert decoded.shape == (num_frames, *even, 3)
    assert np.abs(decoded.astype(int) - frames[:, : even[0], : even[1]]).max() <= 6


@pytest.mark.parametrize(
    ("fps", "rate"), [(25.0, Fraction(25)), (30000 / 1001, Fraction(30000, 1001)), (0.4, Fraction(2, 5))]
)
def test_a_video_plays_at_its_own_speed(tmp_path, fps, rate):
    write_video(tmp_path / "a.mp4", ramp(4), fps=fps)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == rate


@pytest.mark.parametrize(("num_frames", "asked", "columns"), [(20, 6, 6), (3, 6, 3), (1, 4, 1), (9, 1, 1)])
def test_a_strip_shows_frames_side_by_side(tmp_path, num_frames, asked, columns):
    frames = ramp(num_frames)
    path = tmp_path / "new" / "a.png"
    write_strip(path, frames, asked)
    strip = cv2.imread(str(path))
    assert strip.shape == (32, 48 * columns + 4 * (columns - 1), 3)
    assert (strip[:, :48] == frames[0]).all()
    if columns > 1:
        assert (strip[:, -48:] == frames[-1]).all()
        assert (strip[:, 48:52] == 255).all()


def test_a_strip_keeps_colours(tmp_path):
    frames = np.zeros((1, 4, 4, 3), np.uint8)
    frames[..., 0] = 250
    write_strip(tmp_path / "a.png", frames)
    assert cv2.cvtColor(cv2.imread(str(tmp_path / "a.png")), cv2.COLOR_BGR2RGB)[0, 0].tolist() == [250, 0, 0]


def test_a_strip_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError, match=r"a\.png"):
        write_strip(tmp_path / "a.png", ramp(2))


def gif_frames(path) -> tuple[np.ndarray, list[int]]:
    """Return the frames of a GIF, and how long each is shown, in milliseconds."""
    frames, durations = [], []
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0  # for ever
        for number in range(gif.n_frames):
            gif.seek(number)
            frames.append(np.asarray(gif.convert("RGB")))
            durations.append(gif.info["duration"])
    return np.stack(frames), durations


def test_a_gif_shows_what_was_written(tmp_path):
    frames = ramp(5)
    write_gif(tmp_path / "new" / "a.gif", frames, fps=5.0)
    shown, durations = gif_frames(tmp_path / "new" / "a.gif")
    assert shown.shape == frames.shape
    assert np.abs(shown.astype(int) - frames).max() < 16
    assert durations == [200] * 5


def test_the_few_pixels_of_a_strong_colour_keep_it(tmp_path):
    noise = np.random.default_rng(0).integers(60, 130, (3, 64, 64, 1))
    frames = np.broadcast_to(noise, (3, 64, 64, 3)).astype(np.uint8)
    frames[1:, 30:33, 30:33] = (250, 200, 20)
    write_gif(tmp_path / "a.gif", frames, fps=5.0)
    shown, _ = gif_frames(tmp_path / "a.gif")
    assert np.abs(shown[1:, 30:33, 30:33].astype(int) - (250, 200, 20)).max() < 20


def test_noise_on_a_still_background_costs_nothing(tmp_path):
    generator = np.random.default_rng(0)
    still = np.repeat(generator.integers(0, 255, (1, 64, 64, 3)), 8, axis=0)
    still[:, :4, :4] = 20 * np.arange(8)[:, None, None, None]  # something moves
    noisy = (still + generator.integers(-2, 3, still.shape)).clip(0, 255)
    sizes = []
    for frames in (still[:1], still, noisy):
        write_gif(tmp_path / "a.gif", frames.astype(np.uint8), fps=5.0)
        sizes.append((tmp_path / "a.gif").stat().st_size)
    assert sizes[2] < 1.5 * sizes[0]


def test_a_gif_is_never_faster_than_browsers_show_it(tmp_path):
    write_gif(tmp_path / "a.gif", ramp(3), fps=1000.0)
    assert gif_frames(tmp_path / "a.gif")[1] == [20] * 3
