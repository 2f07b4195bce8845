import numpy as np
import pytest

from stal.visualize.drawing import colour
from stal.visualize.tube_overlay import BoxLabel, draw_box_labels

ORANGE, DARK = (255, 150, 0), (0, 0, 120)


def grey(height=240, width=320):
    return np.full((height, width, 3), 100, np.uint8)


def box(*corners):
    return np.array(corners, np.float32)


def extent(mask):
    """Return the rows and columns that hold True: top, left, bottom, right."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def test_a_text_stands_above_its_box_in_the_colour_of_the_box():
    drawn = draw_box_labels(grey(), [BoxLabel(box(100, 80, 200, 200), "walk 0.93", ORANGE)])
    top, left, bottom, right = extent((drawn == ORANGE).all(-1))
    assert (left, bottom, right) == (99, 201, 201)  # a line of two pixels
    assert 60 <= top < 70
    text = drawn[top:79, 100:]
    assert (text < 80).all(-1).sum() > 50  # dark letters


@pytest.mark.parametrize(
    "corners", [(0, 0, 60, 60), (290, 100, 320, 240), (-30, -20, 400, 300), (300, 230, 320, 240), (10, 3, 11, 4)]
)
def test_a_text_is_inside_the_frame_wherever_the_box_is(corners):
    alone = draw_box_labels(grey(), [BoxLabel(box(*corners), "", ORANGE)])
    drawn = draw_box_labels(grey(), [BoxLabel(box(*corners), "BasketballDunk 0.93", ORANGE)])
    top, left, bottom, right = extent((drawn != alone).any(-1))
    assert bottom - top <= 16 and right - left > 100
    assert (drawn < 80).all(-1).sum() > 100


def test_texts_of_one_actor_do_not_cover_each_other():
    texts = ["walk 0.93", "run 0.71", "jump 0.40"]
    colours = [colour(0), colour(1), colour(2)]
    at = box(100, 80, 160, 200)
    drawn = draw_box_labels(grey(), [BoxLabel(at, *label) for label in zip(texts, colours, strict=True)])
    for text, ground in zip(texts, colours, strict=True):
        alone = draw_box_labels(grey(), [BoxLabel(at, text, ground)])
        num_ground = [(frame[:, 104:150] == ground).all(-1).sum() for frame in (alone, drawn)]
        assert num_ground[1] > 0.6 * num_ground[0]  # the lines of boxes of others may be over its own


def test_the_first_label_is_drawn_over_the_others():
    labels = [BoxLabel(box(100, 80, 160, 200), "", ORANGE), BoxLabel(box(100, 80, 160, 200), "", DARK)]
    assert (draw_box_labels(grey(), labels)[150, 100] == ORANGE).all()


def test_letters_grow_with_the_frame_and_are_white_on_dark_grounds():
    def height_of_letters(height):
        drawn = draw_box_labels(grey(height, 1000), [BoxLabel(box(50, 300, 500, 380), "walk", DARK)])
        top, _, bottom, _ = extent((drawn > 180).all(-1))
        return bottom - top

    small, large = height_of_letters(400), height_of_letters(1080)
    assert small >= 8 and large > 2 * small


def test_a_long_text_is_cut_to_the_frame():
    drawn = draw_box_labels(
        grey(100, 80), [BoxLabel(box(10, 40, 60, 90), "a very long name of an action 0.93", ORANGE)]
    )
    assert drawn.shape == (100, 80, 3)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (10, 8), (9, 400)])
def test_frames_too_small_for_text_are_drawn_too(height, width):
    drawn = draw_box_labels(grey(height, width), [BoxLabel(box(0, 0, 2, 2), "walk 0.93", ORANGE)], note="heat")
    assert drawn.shape == (height, width, 3)


def test_a_note_stands_in_the_lower_left_corner_and_the_frame_is_left_as_it_was():
    frame = grey()
    drawn = draw_box_labels(frame, [BoxLabel(box(0, 236, 200, 240), "walk", ORANGE)], note="a note")
    assert (drawn[-16:, :10] == 0).all(-1).any()
    assert ((drawn[200:224, :30] == ORANGE).all(-1)).any()  # its text gives way
    assert (frame == 100).all()
    np.testing.assert_array_equal(draw_box_labels(frame, []), frame)
