"""The film of a clip: frames above heat, in rows of one picture."""

import io

import av
import numpy as np
import pytest

from stal.report.clip_video import clip_size, encode_rows, row_height


@pytest.mark.parametrize(
    ("size", "shown"), [((120, 160), (120, 160)), ((480, 640), (240, 320)), ((721, 1281), (180, 320)), ((5, 3), (4, 4))]
)
def test_large_videos_are_made_small_and_sizes_are_even(size, shown):
    assert clip_size(*size) == shown


@pytest.mark.parametrize(("height", "distance"), [(16, 16), (18, 32), (240, 240)])
def test_rows_begin_with_a_block(height, distance):
    assert row_height(height) == distance


@pytest.mark.parametrize("num_heats", [1, 2])
def test_the_film_shows_frames_and_the_heat_of_every_tube_of_the_same_moment(num_heats):
    num_frames, height, width = 6, 36, 64
    frames = np.stack([np.full((height, width, 3), 30 * t, np.uint8) for t in range(num_frames)])
    heats = [np.zeros((num_frames, 18, 32), np.float32) for _ in range(num_heats)]
    for number, heat in enumerate(heats):
        heat[np.arange(num_frames) % 2 == number] = 1.0  # the first on even frames, the second on odd ones
    with av.open(io.BytesIO(encode_rows(frames, heats, fps=12.5))) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "h264" and float(stream.average_rate) == 12.5
        shown = list(container.decode(stream))
    assert [float(frame.pts * frame.time_base) for frame in shown] == pytest.approx([t / 12.5 for t in range(6)])
    pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in shown]).astype(int)
    assert pictures.shape == (num_frames, 48 * (1 + num_heats), width, 3)
    assert pictures[:, :height].mean((1, 2, 3)) == pytest.approx(30.0 * np.arange(num_frames), abs=6)
    for number in range(num_heats):
        red = pictures[:, 48 * (1 + number) : 48 * (1 + number) + height, :, 0].mean((1, 2))
        assert (red > 200).tolist() == [t % 2 == number for t in range(num_frames)]
        assert (red < 30).tolist() == [t % 2 != number for t in range(num_frames)]
