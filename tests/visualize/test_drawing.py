import numpy as np
import pytest

from stal.visualize.drawing import colour, draw_boxes, draw_caption, draw_outlined_boxes, fit_scale, resize
from stal.visualize.text import LINE_PIXELS

RED = (255, 0, 0)


def grey(num_frames: int = 2, height: int = 6, width: int = 8, value: int = 100) -> np.ndarray:
    return np.full((num_frames, height, width, 3), value, np.uint8)


def box(*corners: float) -> np.ndarray:
    return np.array([corners, (0, 0, 0, 0)], np.float32)


def red_pixels(frame: np.ndarray) -> list[str]:
    return ["".join("#" if pixel else "." for pixel in row) for row in (frame == RED).all(-1)]


def test_a_box_is_drawn_on_the_pixels_at_its_border():
    drawn = draw_boxes(grey(), box(1, 1, 5, 4), RED)
    assert red_pixels(drawn[0]) == ["........", ".####...", ".#..#...", ".####...", "........", "........"]
    assert (drawn[1] == 100).all()  # its box is zero


@pytest.mark.parametrize("corners", [(0, 0, 0, 0), (3, 3, 3, 5), (3, 3, 5, 3), (5, 5, 3, 3)])
def test_an_empty_box_is_not_drawn(corners):
    assert np.array_equal(draw_boxes(grey(), box(*corners), RED), grey())


@pytest.mark.parametrize(
    ("corners", "row", "expected"),
    [
        ((0, 0, 8, 6), 0, "########"),
        ((-3, -3, 20, 20), 2, "........"),  # its border is outside
        ((3.6, 2, 4.4, 5), 3, "....#..."),  # thinner than a pixel
    ],
)
def test_a_box_at_the_limits(corners, row, expected):
    assert red_pixels(draw_boxes(grey(), box(*corners), RED)[0])[row] == expected


def test_an_outlined_box_is_two_pixels_wide_with_black_on_both_sides():
    row = draw_outlined_boxes(grey(height=40, width=60), box(20, 8, 50, 38), RED)[0, 20, 15:26]
    colours = {RED: "#", (0, 0, 0): "b", (100, 100, 100): "."}
    assert "".join(colours[tuple(pixel)] for pixel in row.tolist()).strip(".") == "b###b"


def test_a_caption_adds_a_band_below_and_leaves_the_picture():
    frames = grey(width=200)
    drawn = draw_caption(frames, ["first", "second"])
    assert drawn.shape[0] == 2 and drawn.shape[1] > 6 and drawn.shape[2:] == (200, 3)
    assert np.array_equal(drawn[:, :6], frames)
    assert drawn[:, 6:].max() > 200 and drawn[:, 6:].min() == 0
    assert draw_caption(frames, ["first"]).shape[1] < drawn.shape[1]


def test_a_line_of_a_caption_may_be_a_picture():
    line = np.full((5, 64, 3), 77, np.uint8)
    drawn = draw_caption(grey(width=64), ["text", line])
    assert (drawn[:, -5:] == 77).all()
    assert drawn.shape[1] == 6 + LINE_PIXELS + 5


@pytest.mark.parametrize(("scale", "size"), [(3.0, (18, 24)), (1.0, (6, 8)), (0.5, (3, 4)), (0.01, (1, 1))])
def test_resizing_keeps_flat_areas(scale, size):
    drawn = resize(grey(value=100), scale)
    assert drawn.shape == (2, *size, 3)
    assert (drawn == 100).all()


@pytest.mark.parametrize(
    ("width", "scale"), [(319, 2), (320, 1), (100, 4), (1, 320), (640, 1), (641, 640 / 641), (1280, 0.5)]
)
def test_widths_are_brought_into_a_range_small_ones_by_whole_numbers(width, scale):
    assert fit_scale(width, 320, 640) == scale


def test_nothing_is_drawn_into_the_frames_given():
    frames = grey(width=64)
    before = frames.copy()
    draw_boxes(frames, box(1, 1, 5, 4), RED)
    draw_caption(frames, ["text"])
    assert np.array_equal(frames, before)


def test_neighbouring_numbers_have_different_colours():
    colours = [colour(index) for index in range(7)]
    assert len(set(colours)) == 7
    assert colour(7) == colour(0)
    assert colour(0) == (86, 180, 233)
