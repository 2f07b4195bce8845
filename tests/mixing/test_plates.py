import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.mixing.layers import Layer, layers_of
from stal.mixing.plates import empty_scene, ever_actors, fill_holes, static_plate
from stal.structures import ClipBatch

SEEDS = st.integers(0, 1_000_000)
PLATES = st.sampled_from(["static", "inpaint"])
ACTOR, SCENE = 200, 100  # colours of actors are from the one up, colours of scenes below the other


def layer_of(valid: list[list[bool]], seed: int = 0, height: int = 9, width: int = 11) -> Layer:
    """Return a clip of bytes in which boxes of actors walk over a scene, of colours that no actor has."""
    generator = torch.Generator().manual_seed(seed)
    seen = torch.tensor(valid, dtype=torch.bool).view(len(valid), -1 if valid else 4)
    num_actors, num_frames = seen.shape
    corner = torch.randint(0, 5, (num_actors, num_frames, 2), generator=generator)
    size = torch.randint(1, 5, (num_actors, num_frames, 2), generator=generator)
    batch = ClipBatch(
        torch.randint(SCENE, (1, 3, num_frames, height, width), generator=generator).byte(),
        (torch.cat([corner, corner + size], dim=-1) * seen[..., None].float(),),
        (seen,),
        (torch.zeros(num_actors, dtype=torch.int64),),
    )
    (layer,) = layers_of(batch)
    coloured = torch.randint(ACTOR, 256, layer.frames.shape, generator=generator).byte()
    return dataclasses.replace(layer, frames=torch.where(layer.actors, coloured, layer.frames))


@given(SEEDS, st.integers(1, 9), st.sampled_from([torch.uint8, torch.float32, torch.int32]))
@settings(max_examples=60, deadline=None)
def test_the_plate_is_the_lower_median_of_the_frames_on_which_a_pixel_shows_the_scene(seed, num_frames, dtype):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (2, num_frames, 4, 5))
    removed = rng.random((num_frames, 4, 5)) < 0.5
    plate = static_plate(torch.from_numpy(frames).to(dtype), torch.from_numpy(removed))
    assert plate.dtype == dtype
    for y, x in np.ndindex(4, 5):
        seen = frames[:, ~removed[:, y, x], y, x]
        if seen.size:
            median = np.sort(seen)[:, (seen.shape[1] - 1) // 2]
            assert plate[:, y, x].tolist() == median.tolist()


@pytest.mark.parametrize("num_frames", [1, 2, 3, 7, 16, 31, 32, 33, 100])
def test_clips_of_any_length_have_a_plate(num_frames):
    frames = torch.randint(256, (1, num_frames, 3, 40), generator=torch.Generator().manual_seed(0)).byte()
    plate = static_plate(frames, torch.zeros(num_frames, 3, 40, dtype=torch.bool))
    assert torch.equal(plate, frames.median(dim=1).values)


@given(SEEDS, st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_holes_are_filled_with_colours_between_the_known_ones_which_stay(seed, height, width):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, height, width, generator=generator)
    known = torch.rand(height, width, generator=generator) < 0.3
    known[0, 0] = True
    filled = fill_holes(image, known)
    assert torch.equal(filled[:, known], image[:, known])
    low, high = image[:, known].amin(dim=1), image[:, known].amax(dim=1)
    assert (filled >= low.view(-1, 1, 1) - 1e-6).all() and (filled <= high.view(-1, 1, 1) + 1e-6).all()
    anything = torch.where(known, image, float("nan"))
    assert torch.equal(fill_holes(anything, known), filled)


def test_a_hole_takes_the_colours_that_are_near():
    image = torch.zeros(1, 16, 32)
    image[:, :, 16:] = 1
    known = torch.ones(16, 32, dtype=torch.bool)
    known[6:10, 6:10] = known[6:10, 22:26] = False
    assert torch.equal(fill_holes(image, known), image)


@pytest.mark.parametrize("size", [16, 17, 50])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_hole_in_a_ramp_is_filled_with_the_ramp(size, axis):
    ramp = torch.arange(float(size))
    image = (ramp if axis else ramp[:, None]).expand(1, size, size)
    known = torch.rand(size, size, generator=torch.Generator().manual_seed(size)) < 0.5
    for place in (0, size // 2, size - 1):  # also at the end, where sizes that are odd are halved with a rest
        known[place] = known[:, place] = True
    error = fill_holes(image, known) - image
    assert error.abs().mean() < 0.4
    assert abs(error.mean()) < 0.05  # nowhere is it pushed aside


def test_where_nothing_is_known_the_plate_is_black():
    plate = static_plate(torch.full((3, 2, 5, 6), 7, dtype=torch.uint8), torch.ones(2, 5, 6, dtype=torch.bool))
    assert not plate.any()


@given(SEEDS, st.lists(st.lists(st.booleans(), min_size=4, max_size=4), max_size=3), PLATES, st.integers(0, 2))
@settings(max_examples=80, deadline=None)
def test_nothing_of_an_actor_stays_in_the_scene(seed, valid, plate, margin):
    layer = layer_of(valid, seed)
    scene = empty_scene(layer, plate, margin=margin)
    assert scene.frames.dtype == torch.uint8 and scene.frames.shape == layer.frames.shape
    assert (scene.frames < SCENE).all()
    assert len(scene.labels) == len(scene.volumes) == len(scene.boxes) == 0
    assert int(scene.scene) == int(layer.scene)


@given(SEEDS, PLATES)
@settings(max_examples=30, deadline=None)
def test_a_margin_removes_the_rim_that_a_mask_misses(seed, plate):
    layer = layer_of([[True] * 4, [True, False, True, True]], seed)
    held = ever_actors(layer)
    rim = torch.nn.functional.max_pool2d(held.float(), 3, stride=1, padding=1) > 0
    unclean = dataclasses.replace(layer, frames=torch.where(rim, torch.tensor(ACTOR, dtype=torch.uint8), layer.frames))
    assert (empty_scene(unclean, plate, margin=1).frames < SCENE).all()
    assert plate == "static" or (empty_scene(unclean, plate, margin=0).frames == ACTOR).any()


def test_an_inpainted_scene_moves_and_a_static_one_stands_still():
    layer = layer_of([[True, True, True, True]])
    static, moving = (empty_scene(layer, plate, margin=0) for plate in ("static", "inpaint"))
    assert torch.equal(static.frames, static.frames[:, :1].expand_as(static.frames))
    assert torch.equal(static.frames[:, 0], static_plate(layer.frames, layer.actors))
    assert torch.equal(moving.frames, torch.where(layer.actors, static.frames, layer.frames))


def test_a_clip_without_actors_is_its_own_scene():
    layer = layer_of([])
    for plate in ("static", "inpaint"):
        scene = empty_scene(layer, plate, margin=2)
        assert torch.equal(scene.frames, layer.frames)
        assert torch.equal(scene.voxel_sources, layer.voxel_sources)


@pytest.mark.parametrize(
    ("valid", "expected"),
    [
        ([True, True, True, True], [0, 1, 2, 3]),
        ([False, True, False, False], [1, 1, 1, 1]),
        ([True, False, False, True], [0, 0, 3, 3]),
        ([True, False, True, False], [0, 0, 2, 2]),  # frame 1 is as near to 0 as to 2
    ],
)
def test_an_actor_is_held_where_it_is_not_annotated(valid, expected):
    layer = layer_of([valid])
    assert torch.equal(ever_actors(layer), layer.volumes[0, expected])


def test_of_an_actor_without_silhouette_all_that_its_box_holds_is_its():
    layer = layer_of([[True, True, False, False]])
    volumes = layer.volumes.clone()
    volumes[:, 1] = False
    held = ever_actors(dataclasses.replace(layer, volumes=volumes))
    assert torch.equal(held, layer.volumes[0, [0, 1, 1, 1]])
    nowhere = ever_actors(dataclasses.replace(layer, volumes=torch.zeros_like(volumes)))
    assert torch.equal(nowhere, layer.volumes[0, [0, 1, 1, 1]])


def test_there_are_no_voxels_of_actors_that_are_not_there():
    assert not ever_actors(layer_of([])).any()
    assert not ever_actors(layer_of([[False] * 4])).any()


def test_a_pixel_of_a_plate_comes_from_the_first_clip_that_shows_the_scene_there():
    sources = torch.tensor([[[5, 5, 5, 5]], [[6, 6, 6, 6]]], dtype=torch.int16)
    volumes = torch.tensor([[[[True, False, True, False]], [[False, True, True, False]]]])
    boxes = torch.ones(1, 2, 4)
    layer = Layer(
        frames=torch.rand(3, 2, 1, 4),
        voxel_sources=sources,
        volumes=volumes,
        boxes=boxes,
        uncut_boxes=boxes,
        valid=torch.ones(1, 2, dtype=torch.bool),
        labels=torch.zeros(1, dtype=torch.int64),
        label_weights=torch.ones(1),
        sources=torch.zeros(1, dtype=torch.int64),
        silhouettes=None,
        scene=torch.tensor(3),
    )
    static, moving = (empty_scene(layer, plate, margin=0).voxel_sources for plate in ("static", "inpaint"))
    assert static.tolist() == [[[6, 5, 6, 5]], [[6, 5, 6, 5]]]
    assert moving.tolist() == [[[6, 5, 6, 5]], [[6, 5, 6, 6]]]
