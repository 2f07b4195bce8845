import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from stal.errors import ConfigError, ShapeError
from stal.mixing.batch_mix import BatchMix
from stal.mixing.layers import add_provenance
from stal.mixing.plates import static_plate
from stal.mixing.provenance import actor_volumes
from stal.mixing.scene_swap import SceneSwap
from stal.ops.masks import box_masks
from stal.structures import ClipBatch

SEEDS = st.integers(0, 1_000_000)
MASKS = st.sampled_from(["box", "silhouette"])
PLATES = st.sampled_from(["static", "inpaint"])
NUM_ACTORS = st.lists(st.integers(0, 3), min_size=1, max_size=4)
FRAMES, HEIGHT, WIDTH = 4, 12, 14
NO_ACTOR = 50
"""Colours of the scene of clip b are 50 * b to 50 * b + 49; those of actors are no scene's, 200 or more."""


def batch_of(*num_actors: int, seed: int = 0, mask: str = "box", dtype: torch.dtype = torch.uint8) -> ClipBatch:
    generator = torch.Generator().manual_seed(seed)
    boxes, valid, masks = [], [], []
    for n in num_actors:
        corner = torch.randint(0, 8, (n, FRAMES, 2), generator=generator)
        size = torch.randint(2, 6, (n, FRAMES, 2), generator=generator)
        seen = torch.rand(n, FRAMES, generator=generator) < 0.7
        seen[:, 1] |= ~seen.any(dim=1)
        valid.append(seen)
        boxes.append(torch.cat([corner, corner + size], dim=-1) * seen[..., None].float())
        masks.append(torch.rand(n, FRAMES, HEIGHT, WIDTH, generator=generator) < 0.8)
    shape = (3, FRAMES, HEIGHT, WIDTH)
    scenes = [torch.randint(50 * b, 50 * b + 50, shape, generator=generator) for b in range(len(num_actors))]
    batch = ClipBatch(
        torch.stack(scenes),
        tuple(boxes),
        tuple(valid),
        tuple(torch.arange(n) for n in num_actors),
        tuple(masks),
        scenes=torch.arange(len(num_actors)) + 7,
    )
    actors = torch.stack([volumes.any(dim=0) for volumes in actor_volumes(batch, mask)])[:, None]
    coloured = torch.randint(200, 256, batch.clips.shape, generator=generator)
    return dataclasses.replace(batch, clips=torch.where(actors, coloured, batch.clips).to(dtype))


def swap(batch: ClipBatch, seed: int = 0, **options) -> ClipBatch:
    return SceneSwap(**{"probability": 1.0, **options})(batch, torch.Generator().manual_seed(seed))


@given(NUM_ACTORS, SEEDS, MASKS, PLATES, st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_actors_stay_and_around_them_is_another_scene_with_nobody_in_it(num_actors, seed, mask, plate, margin):
    batch = batch_of(*num_actors, seed=seed, mask=mask)
    before, mixed = add_provenance(batch, mask), swap(batch, seed, mask=mask, plate=plate, margin=margin)
    assert torch.equal(mixed.provenance, before.provenance)
    for host, clip in enumerate(mixed.clips):
        for name in ("boxes", "valid", "labels", "sources", "label_weights"):
            assert torch.equal(getattr(mixed, name)[host], getattr(before, name)[host]), name
        actors = mixed.provenance[host] > 0
        assert torch.equal(clip[:, actors], batch.clips[host][:, actors])
        assert (mixed.voxel_sources[host][actors] == host).all()
        donor = int(mixed.scenes[host]) - 7
        assert (donor == host) == (num_actors[host] == 0 or len(num_actors) == 1)
        assert (mixed.voxel_sources[host][~actors] == donor).all()
        assert (clip[:, ~actors] // NO_ACTOR == donor).all()


@given(NUM_ACTORS, SEEDS, MASKS, PLATES)
@settings(max_examples=25, deadline=None)
def test_of_a_batch_that_was_mixed_before_labelled_actors_alone_are_taken_along(num_actors, seed, mask, plate):
    batch = batch_of(*num_actors, seed=seed, mask=mask)
    paste = BatchMix(probability=1.0, mask=mask, min_visible=0.0, max_pasted=3)
    pasted = paste(batch, torch.Generator().manual_seed(seed))
    mixed = swap(pasted, seed, plate=plate, margin=0)
    assert torch.equal(mixed.provenance, pasted.provenance)
    for host, clip in enumerate(mixed.clips):
        actors = mixed.provenance[host] > 0
        assert torch.equal(clip[:, actors], pasted.clips[host][:, actors])
        assert torch.equal(mixed.voxel_sources[host][actors], pasted.voxel_sources[host][actors])
        assert torch.equal(mixed.sources[host], pasted.sources[host])
        if len(mixed.labels[host]):
            donor = int(mixed.scenes[host]) - 7
            assert (clip[:, ~actors] // NO_ACTOR == donor).all()
            assert (mixed.voxel_sources[host][~actors] == donor).all()


def test_the_donor_stands_still_or_moves():
    batch = batch_of(1, 1)
    boxes = torch.tensor([[[2.0, 2.0, 6.0, 6.0], [4.0, 2.0, 8.0, 6.0], [6.0, 2.0, 10.0, 6.0], [6.0, 2.0, 10.0, 6.0]]])
    seen = torch.ones(1, FRAMES, dtype=torch.bool)
    batch = dataclasses.replace(batch, boxes=(batch.boxes[0], boxes), valid=(batch.valid[0], seen))
    removed = box_masks(boxes, HEIGHT, WIDTH)[0]
    plate = static_plate(batch.clips[1], removed)[:, None].expand_as(batch.clips[1])
    back = add_provenance(batch).provenance[0] == 0
    static, moving = swap(batch, margin=0).clips[0], swap(batch, margin=0, plate="inpaint").clips[0]
    assert torch.equal(static[:, back], plate[:, back])
    assert torch.equal(moving[:, back], torch.where(removed, plate, batch.clips[1])[:, back])


@pytest.mark.parametrize("plate", ["static", "inpaint"])
def test_a_clip_without_actors_gives_its_scene_as_it_is_and_keeps_its_own(plate):
    batch = batch_of(0, 1)
    mixed = swap(batch, plate=plate)
    back = mixed.provenance[1] == 0
    assert torch.equal(mixed.clips[1][:, back], batch.clips[0][:, back])
    assert torch.equal(mixed.clips[0], batch.clips[0])
    assert mixed.scenes.tolist() == [7, 7]


def test_clips_without_actors_can_be_preferred_as_donors():
    batch = batch_of(1, 2, 0, 3)
    donors = {tuple(swap(batch, seed, prefer_empty=True).scenes.tolist()) for seed in range(20)}
    assert donors == {(9, 9, 9, 9)}
    assert len({tuple(swap(batch, seed).scenes.tolist()) for seed in range(20)}) > 5
    nobody_is_empty = batch_of(1, 1)
    assert swap(nobody_is_empty, prefer_empty=True).scenes.tolist() == [8, 7]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16])
def test_clips_keep_their_type(dtype):
    batch = batch_of(2, 1, dtype=dtype)
    mixed = swap(batch)
    assert mixed.clips.dtype == dtype
    assert torch.allclose(mixed.clips.float(), swap(batch_of(2, 1)).clips.float(), atol=0.6)


def test_about_the_asked_part_of_the_clips_gets_another_scene():
    batch = batch_of(*[1] * 40)
    batch = dataclasses.replace(batch, scenes=torch.arange(40))
    swapped = sum(int((swap(batch, seed, probability=0.3).scenes != torch.arange(40)).sum()) for seed in range(5))
    assert 40 < swapped < 80


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, "probability is 1.5"),
        ({"plate": "blurred"}, "plate.*blurred"),
        ({"margin": -1}, "margin is -1"),
    ],
)
def test_settings_out_of_range_are_an_error(options, message):
    with pytest.raises((ConfigError, TypeCheckError), match=message):  # the second where types are checked
        SceneSwap(**options)


def test_silhouettes_that_are_wanted_and_unknown_are_an_error():
    with pytest.raises(ShapeError, match="no silhouettes"):
        swap(dataclasses.replace(batch_of(1, 1), actor_masks=None), mask="silhouette")


def test_a_clip_whose_actors_have_no_silhouettes_is_left_as_it_is():
    batch = batch_of(1, 1)
    nothing = torch.zeros(1, FRAMES, HEIGHT, WIDTH, dtype=torch.bool)
    mixed = swap(dataclasses.replace(batch, actor_masks=(nothing, ~nothing)), mask="silhouette")
    assert torch.equal(mixed.clips[0], batch.clips[0])
    assert mixed.scenes[0] == 7 and len(mixed.labels[0]) == 0
