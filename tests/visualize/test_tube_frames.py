import numpy as np
import pytest

from stal.visualize.drawing import colour
from stal.visualize.text import LINE_PIXELS
from stal.visualize.tube_frames import draw_frames_alone, draw_heat_frames, draw_tube_frames

SCALE = 5  # 64 pixels are enlarged to 320


def test_the_video_stands_above_the_same_under_heat_and_a_caption(make_view, frames):
    view = make_view()
    drawn = draw_tube_frames(view, frames[4:6], 4)
    height, width = SCALE * 48, SCALE * 64
    assert drawn.shape == (2, 2 * height + 4 * LINE_PIXELS, width, 3)
    assert np.array_equal(drawn[:, :height], draw_frames_alone(view, frames[4:6], 4))
    assert np.array_equal(drawn[:, height:], draw_heat_frames(view, frames[4:6], 4))


@pytest.mark.parametrize("signed", [False, True])
def test_heat_boxes_and_caption_are_those_of_the_frame(make_view, frames, signed):
    view = make_view(signed=signed)
    many = draw_tube_frames(view, frames, 0)
    for number in (0, 2, 7):
        assert np.array_equal(draw_tube_frames(view, frames[number : number + 1], number)[0], many[number])
    left, top = (round(float(corner) * SCALE) for corner in view.tube.boxes[7, :2])
    assert tuple(many[7, top + 20, left].tolist()) == colour(0)
    heat = many[:, SCALE * 48 : 2 * SCALE * 48].astype(int)
    assert np.ptp(heat[0], axis=-1).max() == 0  # grey: there is no tube
    assert np.ptp(heat[7], axis=-1).max() > 60
    assert (np.abs(heat[7, :, : SCALE * 64 - 120] - heat[3, :, : SCALE * 64 - 120]) > 60).any()


def test_the_sign_is_seen(make_view, frames):
    drawn = draw_heat_frames(make_view(signed=True), frames[5:6], 5)[0, : SCALE * 48].astype(int)
    for x, y, stronger, weaker in ((56, 6, 2, 0), (28, 25, 0, 2)):  # against it in the corner, for it in the box
        pixel = drawn[y * SCALE, x * SCALE]
        assert pixel[stronger] > pixel[weaker] + 30


def test_large_videos_are_shrunk(make_view):
    view = make_view()
    large = type(view)(view.tube, view.action, view.origin, (720, 1280), view.fps)
    assert draw_frames_alone(large, np.zeros((1, 720, 1280, 3), np.uint8), 0).shape == (1, 360, 640, 3)
