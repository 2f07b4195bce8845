import numpy as np
import pytest

from stal.visualize.clip_picture import ShownTubelet, draw_clip
from stal.visualize.drawing import colour
from stal.visualize.text import LINE_PIXELS

HEIGHT, WIDTH = 24, 32
WHITE = (255, 255, 255)


def frames(num_frames: int = 8) -> np.ndarray:
    return np.full((num_frames, HEIGHT, WIDTH, 3), 100, np.uint8)


def tubelet(x1: float = 4.0, text: str = "run", num_frames: int = 8) -> ShownTubelet:
    return ShownTubelet(np.tile(np.float32([x1, 4, x1 + 8, 20]), (num_frames, 1)), text)


def has_colour(picture: np.ndarray, rgb: tuple[int, int, int]) -> bool:
    return bool((picture == rgb).all(-1).any())


def parts(picture: np.ndarray, num_lines: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the frames, the heat and the caption."""
    rows = (len(picture) - num_lines * LINE_PIXELS) // 2
    return picture[:rows], picture[rows : 2 * rows], picture[2 * rows :]


def test_frames_stand_above_their_heat_and_a_caption():
    heat = np.zeros((8, 6, 8), np.float32)
    heat[0] = 1.0  # the first frame alone
    picture = draw_clip("a clip", frames(), [tubelet()], [tubelet(14), tubelet(20)], tubelet(14), heat)
    shown, heated, caption = parts(picture, num_lines=5)
    assert shown.shape == heated.shape == (8 * HEIGHT + 4, 4 * (8 * WIDTH + 4), 3)
    assert len(caption) == 5 * LINE_PIXELS
    assert all(has_colour(shown, rgb) for rgb in (WHITE, colour(0), colour(1)))
    assert has_colour(heated, colour(0))
    assert not has_colour(heated, colour(1))
    assert heated[0, 0].min() > 150  # the hottest colour is nearly white
    assert (heated[0, 8 * WIDTH + 4 + 2] == 60).all()  # the second of the frames that are shown is cold


@pytest.mark.parametrize("annotated", [[], [tubelet()]])
def test_a_clip_without_detections_has_none_in_its_picture(annotated):
    explained = annotated[0] if annotated else None
    picture = draw_clip("a clip", frames(), annotated, [], explained, np.zeros((8, 1, 1), np.float32))
    shown, heated, caption = parts(picture, num_lines=3 if annotated else 1)
    assert has_colour(shown, WHITE) == has_colour(heated, WHITE) == bool(annotated)
    assert not has_colour(picture, colour(0))
    assert has_colour(caption, WHITE)


def test_a_short_clip_is_shown_whole():
    picture = draw_clip("a clip", frames(2), [], [], None, np.zeros((2, 3, 4), np.float32))
    assert picture.shape[1] == 2 * (8 * WIDTH + 4)


def test_a_box_that_ends_is_not_drawn_after_it():
    ending = tubelet()
    ending.boxes[1:] = 0
    shown, _, _ = parts(draw_clip("a clip", frames(), [ending], [], None, np.zeros((8, 1, 1), np.float32)), 2)
    first, rest = shown[:, : 8 * WIDTH], shown[:, 8 * WIDTH :]
    assert has_colour(first, WHITE)
    assert not has_colour(rest, WHITE)
