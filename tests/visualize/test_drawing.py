import numpy as np
import pytest

from stal.visualize.drawing import colour, draw_boxes, draw_caption, draw_heat, enlarge

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


def test_heat_darkens_where_it_is_cold_and_glows_where_it_is_hot():
    frames, heat = grey(), np.zeros((2, 6, 8), np.float32)
    heat[1, 2, 3] = 1.0
    drawn = draw_heat(frames, heat)
    assert (drawn[0] == 60).all()
    changed = np.abs(drawn[1].astype(int) - 60).sum(-1)
    assert np.unravel_index(changed.argmax(), changed.shape) == (2, 3)
    assert drawn[1, 2, 3].min() > 150  # the hottest colour is nearly white
    assert (changed > 0).sum() == 1


def test_heat_of_a_coarser_grid_is_stretched_over_the_frame():
    heat = np.zeros((2, 3, 4))
    heat[:, 0, 0] = 1.0
    drawn = draw_heat(grey(), heat)
    assert drawn.shape == grey().shape
    assert drawn[0, 0, 0].sum() > drawn[0, 1, 1].sum() > drawn[0, 5, 7].sum()


def test_gamma_lifts_low_heat():
    heat = np.full((2, 6, 8), 0.25, np.float32)
    assert (draw_heat(grey(value=0), heat, gamma=0.5) >= draw_heat(grey(value=0), heat, gamma=1.0)).all()


def test_a_caption_adds_a_band_below_and_leaves_the_picture():
    frames = grey(width=200)
    drawn = draw_caption(frames, ["first", "second"])
    assert drawn.shape[0] == 2 and drawn.shape[1] > 6 and drawn.shape[2:] == (200, 3)
    assert np.array_equal(drawn[:, :6], frames)
    assert drawn[:, 6:].max() > 200 and drawn[:, 6:].min() == 0
    assert draw_caption(frames, ["first"]).shape[1] < drawn.shape[1]


def test_a_long_line_is_shrunk_until_it_fits():
    drawn = draw_caption(grey(width=120), ["a line that is far too long for so small a picture"])
    assert drawn[0, 6:, -3:].max() == 0
    assert drawn[0, 6:, 60:].max() > 0


def test_enlarging_keeps_flat_areas():
    drawn = enlarge(grey(value=100), 3)
    assert drawn.shape == (2, 18, 24, 3)
    assert (drawn == 100).all()
    assert np.array_equal(enlarge(grey(), 1), grey())


def test_nothing_is_drawn_into_the_frames_given():
    frames = grey(width=64)
    before = frames.copy()
    draw_boxes(frames, box(1, 1, 5, 4), RED)
    draw_heat(frames, np.ones((2, 6, 64), np.float32))
    draw_caption(frames, ["text"])
    assert np.array_equal(frames, before)


def test_neighbouring_numbers_have_different_colours():
    colours = [colour(index) for index in range(7)]
    assert len(set(colours)) == 7
    assert colour(7) == colour(0)
    assert colour(0) == (86, 180, 233)
