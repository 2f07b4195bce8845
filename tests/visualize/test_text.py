import numpy as np
import pytest

from stal.visualize.text import LINE_PIXELS, text_line


def inked_columns(line: np.ndarray) -> np.ndarray:
    return np.flatnonzero(line.max(axis=(0, 2)) > 40)


def test_a_line_is_white_on_black_from_the_left():
    line = text_line("wave 0.87", 320)
    assert line.shape == (LINE_PIXELS, 320, 3)
    assert line.max() > 230 and line.min() == 0
    assert inked_columns(line)[0] < 8
    assert 40 < inked_columns(line)[-1] < 80
    assert inked_columns(text_line("wave", 320, left=100))[0] >= 100


@pytest.mark.parametrize("text", ["W" * 40, "a line that is far too long for so small a picture", "ÄÖ " * 30])
def test_text_that_is_too_long_stays_within_the_line(text):
    columns = inked_columns(text_line(text, 120))
    assert 100 < columns[-1] < 118


def test_text_that_nearly_fits_is_set_smaller_and_kept_whole():
    text = "energy in box 53%, box 18% of clip"
    widths = [inked_columns(text_line(text, width))[-1] for width in (400, 210)]
    assert 185 < widths[1] < widths[0]


@pytest.mark.parametrize("text", ["", "a"])
@pytest.mark.parametrize("width", [1, 8])
def test_there_is_a_line_however_narrow(text, width):
    assert text_line(text, width).shape == (LINE_PIXELS, width, 3)


def test_letters_of_other_alphabets_are_drawn():
    boxes = {text_line(text, 60).tobytes() for text in ("é", "ж", "λ", "∂")}
    assert len(boxes) == 4  # and not the same empty box
