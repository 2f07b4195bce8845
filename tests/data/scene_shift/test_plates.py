import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stal.data.scene_shift.plates import best_plate, fill_hole, fill_smoothly, static_plate

HEIGHT, WIDTH = 37, 50


@pytest.fixture
def scene() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def walk(scene: np.ndarray, num_frames: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of a black actor that walks over a scene, and where it is."""
    covered = np.zeros((num_frames, *scene.shape[:2]), bool)
    for frame in range(num_frames):
        covered[frame, 10:30, 5 + step * frame : 15 + step * frame] = True
    return np.where(covered[..., None], np.uint8(0), scene), covered


def test_the_plate_is_the_scene_behind_an_actor_that_walks(scene: np.ndarray) -> None:
    np.testing.assert_array_equal(static_plate(*walk(scene, 7, 5)), scene)


def test_the_plate_is_the_lower_median_of_what_is_seen() -> None:
    frames = np.array([9, 200, 4, 7, 100], np.uint8)[:, None, None, None].repeat(3, axis=-1)
    covered = np.array([False, False, True, False, False])[:, None, None]
    assert static_plate(frames, covered).tolist() == [[[9, 9, 9]]]


def test_what_an_actor_always_covers_comes_from_around_it() -> None:
    scene = np.full((HEIGHT, WIDTH, 3), (10, 120, 240), np.uint8)
    np.testing.assert_array_equal(static_plate(*walk(scene, 4, 0)), scene)


def test_what_one_frame_of_many_shows_is_not_trusted() -> None:
    frames = np.full((40, HEIGHT, WIDTH, 3), 100, np.uint8)
    covered = np.zeros(frames.shape[:3], bool)
    covered[1:, 10:20, 10:20], frames[0, 10:20, 10:20] = True, 0
    assert (static_plate(frames, covered) == 100).all()


def test_one_frame_is_a_plate_with_its_hole_filled(scene: np.ndarray) -> None:
    frames, covered = walk(scene, 1, 0)
    plate = static_plate(frames, covered)
    np.testing.assert_array_equal(plate[~covered[0]], scene[~covered[0]])
    assert plate[covered[0]].min() > 0


@given(arrays(np.bool_, (9, 13)), st.integers(0, 2**16))
def test_filling_keeps_what_is_known_and_stays_within_its_range(known: np.ndarray, seed: int) -> None:
    image = np.random.default_rng(seed).uniform(-50, 300, (9, 13, 2)).astype(np.float32)
    filled = fill_smoothly(image, known)
    np.testing.assert_allclose(filled[known], image[known], rtol=1e-5)
    if known.any():
        assert (filled >= image[known].min(axis=0) - 1e-3).all()
        assert (filled <= image[known].max(axis=0) + 1e-3).all()
    else:
        assert not filled.any()
    np.testing.assert_array_equal(fill_smoothly(np.where(known[..., None], image, np.float32(1e6)), known), filled)


def test_a_hole_shows_the_plate_in_the_light_of_the_frame(scene: np.ndarray) -> None:
    plate = scene // 2 + 30
    frames, covered = walk(plate + 20, 1, 0)  # it got brighter
    np.testing.assert_array_equal(fill_hole(frames[0], covered[0], plate), plate + 20)


def test_no_pixel_of_a_hole_has_a_part_in_what_fills_it(scene: np.ndarray) -> None:
    hole = walk(scene, 1, 0)[1][0]
    one = fill_hole(scene, hole, scene[::-1])
    other = fill_hole(np.where(hole[..., None], np.uint8(255), scene), hole, scene[::-1])
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one[~hole], scene[~hole])


@pytest.mark.parametrize("hole", [np.zeros((HEIGHT, WIDTH), bool), np.ones((HEIGHT, WIDTH), bool)])
def test_no_hole_keeps_the_frame_and_nothing_else_shows_the_plate(scene: np.ndarray, hole: np.ndarray) -> None:
    plate = scene[::-1].copy()
    np.testing.assert_array_equal(fill_hole(scene, hole, plate), plate if hole.all() else scene)


def test_the_plate_of_a_camera_that_stands_is_used_and_that_of_one_that_turns_is_not(scene: np.ndarray) -> None:
    rough = np.random.default_rng(1).integers(0, 256, (HEIGHT, 300, 3), np.uint8)
    ramp = np.linspace(0, 255, 300)[None, :, None]
    wide = (0.9 * ramp + 0.1 * rough).astype(np.uint8)
    frames, covered = walk(scene, 8, 3)
    np.testing.assert_array_equal(best_plate(frames, covered), scene)
    turning = np.stack([wide[:, 30 * i : 30 * i + WIDTH] for i in range(8)])
    turning[:4] = turning[:4, ::-1, ::-1]
    assert not best_plate(np.where(covered[..., None], np.uint8(0), turning), covered).any()
