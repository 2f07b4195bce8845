import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stal.data.prepare.all_frames import iterate_frames
from stal.data.scene_shift.actors import find_actors
from stal.data.scene_shift.compose import GREY, fit, moving_scene, paste, shifted_frames, still_scene, stripes
from stal.errors import AnnotationError
from stal.structures import Annotations, Tube, Video

Colour = tuple[int, int, int]


def made(video: Video, kind: str, mask: str = "box", donor: Video | None = None, seed: int = 0) -> np.ndarray:
    return np.stack(list(shifted_frames(video, kind, mask, donor, np.random.default_rng(seed))))  # type: ignore[arg-type]


def actor_pixels(video: Video, mask: str = "box") -> np.ndarray:
    actors = find_actors(video, mask)  # type: ignore[arg-type]
    return np.stack([actors.annotated(frame) for frame in range(video.num_frames)])


def near(frames: np.ndarray, colour: Colour, tolerance: int = 12) -> np.ndarray:
    return (np.abs(frames.astype(int) - colour) <= tolerance).all(axis=-1)


@pytest.mark.parametrize("mask", ["box", "silhouette"])
@pytest.mark.parametrize("kind", ["swap", "still", "stripe", "actor_only"])
def test_actors_keep_their_pixels_and_nothing_else_remains(
    data_set: Annotations, scene_colours: tuple[Colour, ...], kind: str, mask: str
) -> None:
    video, donor = data_set.videos[0], data_set.videos[2] if kind in ("swap", "still") else None
    frames, source, actor = made(video, kind, mask, donor), np.stack(list(iterate_frames(video))), actor_pixels(video)
    assert frames.shape == source.shape
    np.testing.assert_array_equal(frames[actor], source[actor])
    back = frames[~actor]
    if donor is not None:
        assert near(back, scene_colours[1]).all()
    elif kind == "stripe":
        assert (frames == frames[0]).all(axis=-1)[~(actor | actor[0])].all()
        np.testing.assert_array_equal(back, np.stack([stripes(np.random.default_rng(0), 48, 64)] * 8)[~actor])
    else:
        assert (back == GREY).all()


@pytest.mark.parametrize("mask", ["box", "silhouette"])
def test_scene_only_has_no_pixel_of_an_actor(
    data_set: Annotations, scene_colours: tuple[Colour, ...], mask: str
) -> None:
    assert near(made(data_set.videos[2], "scene_only", mask), scene_colours[1]).all()


def test_an_actor_is_not_pasted_where_it_is_not_annotated(data_set: Annotations) -> None:
    video = data_set.videos[0]
    part = Tube(0, video.tubes[0].frames[2:5], video.tubes[0].boxes[2:5])
    frames = made(dataclasses.replace(video, tubes=(part,)), "actor_only")
    assert [(frame != GREY).any() for frame in frames] == [False, False, True, True, True, False, False, False]


def test_a_silhouette_is_pasted_on_frames_without_a_box(data_set: Annotations) -> None:
    frames = made(dataclasses.replace(data_set.videos[0], tubes=()), "actor_only", "silhouette")
    assert (frames != GREY).any(axis=(1, 2, 3)).all()


def test_a_moving_scene_is_that_of_the_span_of_the_tubes_over_and_over(data_set: Annotations) -> None:
    video = data_set.videos[0]
    frames = np.stack(list(iterate_frames(video)))
    empty = find_actors(dataclasses.replace(video, tubes=()), "box")
    scene = moving_scene(empty, range(2, 5))
    np.testing.assert_array_equal([next(scene) for _ in range(7)], frames[[2, 3, 4, 2, 3, 4, 2]])


def test_a_longer_video_sees_its_donor_again_from_the_start(data_set: Annotations, scene_colours) -> None:
    donor = data_set.videos[2]
    tube = donor.tubes[0]
    short = dataclasses.replace(donor, tubes=(Tube(1, tube.frames[3:5], tube.boxes[3:5]),))
    video = dataclasses.replace(data_set.videos[0], tubes=())
    frames = made(video, "swap", donor=short)
    assert len(frames) == video.num_frames
    np.testing.assert_array_equal(frames[::2], np.broadcast_to(frames[0], frames[::2].shape))


def test_a_still_is_the_frame_of_which_the_actors_cover_the_least(data_set: Annotations) -> None:
    video = data_set.videos[0]
    boxes = np.tile(np.array([[0, 0, 30, 30]], np.float32), (8, 1))
    boxes[5] = [40, 30, 44, 34]
    actors = find_actors(dataclasses.replace(video, tubes=(Tube(0, np.arange(8), boxes),)), "box")
    frames = list(iterate_frames(video))
    kept = ~actors.to_remove(5)
    np.testing.assert_array_equal(still_scene(actors)[kept], frames[5][kept])


def test_a_donor_without_tubes_lends_its_scene_as_it_is(data_set: Annotations) -> None:
    donor = dataclasses.replace(data_set.videos[2], tubes=())
    video = dataclasses.replace(data_set.videos[0], tubes=())
    np.testing.assert_array_equal(made(video, "swap", donor=donor), np.stack(list(iterate_frames(donor))))


def test_a_video_whose_actors_hide_all_of_the_scene_is_named(data_set: Annotations) -> None:
    boxes = np.tile(np.array([[-5, -5, 99, 99]], np.float32), (8, 1))
    video = dataclasses.replace(data_set.videos[0], tubes=(Tube(0, np.arange(8), boxes),))
    with pytest.raises(AnnotationError, match="video walk/0: its actors cover all of every frame"):
        made(video, "scene_only")


def test_a_size_that_is_not_that_of_the_file_is_refused(data_set: Annotations) -> None:
    with pytest.raises(AnnotationError, match="64 x 48 pixels, but 66 x 48 are annotated"):
        made(dataclasses.replace(data_set.videos[0], width=66), "scene_only")


def test_pasting_partitions_every_pixel() -> None:
    front, back = np.full((2, 3, 3), 1, np.uint8), np.full((2, 3, 3), 2, np.uint8)
    mask = np.array([[True, False, False], [False, False, True]])
    assert paste(front, mask, back)[..., 0].tolist() == [[1, 2, 2], [2, 2, 1]]


@pytest.mark.parametrize("shape", [(6, 8), (12, 16), (3, 4), (6, 30), (50, 8), (1, 1), (7, 9)])
def test_an_image_is_fitted_to_any_size_without_distortion(shape: tuple[int, int]) -> None:
    ramp = np.linspace(0, 200, shape[1], dtype=np.float32)[None, :, None]
    fitted = fit(np.broadcast_to(ramp, (*shape, 3)).astype(np.uint8), 6, 8)
    assert fitted.shape == (6, 8, 3)
    steps = np.diff(fitted[0, :, 0].astype(int))
    assert (steps >= 0).all()
    # the ramp is cut where the image is wider than the size, and else seen from end to end
    assert (int(fitted[0, -1, 0]) - int(fitted[0, 0, 0]) < 100) == (shape[1] / shape[0] > 4 or shape == (1, 1))


def test_stripes_are_sinusoidal_and_drawn_anew_for_every_seed() -> None:
    drawn = [stripes(np.random.default_rng(seed), 48, 64) for seed in range(20)]
    assert all(image.shape == (48, 64, 3) for image in drawn)
    assert len({image.tobytes() for image in drawn}) == 20
    for image in drawn:
        pixels = image.reshape(-1, 3) - image.mean(axis=(0, 1))
        assert (
            np.linalg.svd(pixels, compute_uv=False)[1] < 0.4 * len(pixels) ** 0.5
        )  # between two colours, but for rounding
        for levels in (image[..., 0].astype(float), image[..., 0].T.astype(float)):
            around, middle = levels[2:] + levels[:-2], levels[1:-1]  # sin(x + w) + sin(x - w) = 2 cos(w) sin(x)
            slope, offset = np.polyfit(middle.ravel(), around.ravel(), 1)
            assert np.abs(around - slope * middle - offset).max() < 2.5


def test_donors_of_other_sizes_are_fitted(
    data_set: Annotations, new_video: Callable[..., Video], tmp_path: Path
) -> None:
    donor = new_video(tmp_path, 1, 0, height=40, width=80)
    assert made(data_set.videos[0], "swap", donor=donor).shape == (8, 48, 64, 3)
