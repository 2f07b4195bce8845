import numpy as np
import pytest

from stal.visualize.heat import draw_heat, heat_scale


def grey(num_frames: int = 2, height: int = 6, width: int = 8, value: int = 100) -> np.ndarray:
    return np.full((num_frames, height, width, 3), value, np.uint8)


def lightness(colours: np.ndarray) -> np.ndarray:
    """Rec. 709 luma, by which they can be told apart without colour vision."""
    return colours @ np.array([0.2126, 0.7152, 0.0722])


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


def test_signed_heat_is_blue_below_zero_and_red_above():
    heat = np.zeros((1, 6, 8), np.float32)
    heat[0, 1, 1], heat[0, 4, 6] = -0.5, 0.5
    drawn = draw_heat(grey(1), heat, signed=True)[0].astype(int)
    assert drawn[1, 1, 2] > drawn[1, 1, 0] + 30
    assert drawn[4, 6, 0] > drawn[4, 6, 2] + 30
    assert (drawn[3, 3] == 60).all()


def test_heat_beyond_its_range_is_that_at_its_end():
    drawn = draw_heat(grey(), np.stack([np.full((6, 8), 1.0), np.full((6, 8), 7.0)]))
    assert np.array_equal(drawn[0], drawn[1])


def test_frames_are_left_as_they_are():
    frames = grey()
    draw_heat(frames, np.ones((2, 6, 8)))
    assert (frames == 100).all()


@pytest.mark.parametrize("signed", [False, True])
def test_the_scale_has_the_colours_of_heat_on_black(signed):
    bar = heat_scale(4, 101, signed=signed)
    assert bar.shape == (4, 101, 3)
    values = np.linspace(-1.0 if signed else 0.0, 1.0, 101, dtype=np.float32)
    assert np.array_equal(bar[:1], draw_heat(np.zeros((1, 1, 101, 3), np.uint8), values[None, None], signed=signed)[0])


def test_magnitudes_rise_in_lightness_and_signed_values_to_both_sides():
    rising = lightness(heat_scale(1, 101)[0].astype(float))
    assert (np.diff(rising) > -1).all() and rising[-1] - rising[0] > 150
    both = lightness(heat_scale(1, 101, signed=True)[0].astype(float))
    assert (np.diff(both[50:]) > -1).all() and (np.diff(both[:51]) < 1).all()
    assert min(both[0], both[-1]) - both[50] > 100
