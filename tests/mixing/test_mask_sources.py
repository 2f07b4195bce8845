import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.errors import ConfigError, ShapeError
from stal.mixing.layers import add_provenance
from stal.mixing.mask_sources import (
    DifferenceMasks,
    EmptyMasks,
    MaskSource,
    ProvenanceMasks,
    RandomMasks,
    SourceClipMasks,
)
from stal.mixing.penalty_rows import rows_of_actors
from stal.ops.masks import mask_boxes
from stal.structures import ClipBatch

FRAMES, HEIGHT, WIDTH = 3, 12, 16
SEEDS = st.integers(0, 1_000_000)
SOURCES = [
    ProvenanceMasks(),
    ProvenanceMasks(grow=0.3),
    ProvenanceMasks(grow=-0.3),
    SourceClipMasks(),
    RandomMasks("displaced"),
    RandomMasks("bernoulli"),
    EmptyMasks(),
    DifferenceMasks(),
]
KINDS = st.sampled_from(["displaced", "bernoulli"])


def make_batch(*num_actors: int, seed: int = 0) -> ClipBatch:
    """Return clips with any number of actors, whose voxels and sources are those of a mixed batch, but drawn freely."""
    rng = np.random.default_rng(seed)
    size = (len(num_actors), FRAMES, HEIGHT, WIDTH)
    provenance = np.stack([rng.integers(0, n + 1, (FRAMES, HEIGHT, WIDTH)) for n in num_actors])
    return ClipBatch(
        clips=torch.from_numpy(rng.random((size[0], 3, *size[1:]), np.float32)),
        boxes=tuple(torch.zeros(n, FRAMES, 4) for n in num_actors),
        valid=tuple(torch.ones(n, FRAMES, dtype=torch.bool) for n in num_actors),
        labels=tuple(torch.zeros(n, dtype=torch.int64) for n in num_actors),
        provenance=torch.from_numpy(provenance.astype(np.int16)),
        sources=tuple(torch.from_numpy(rng.integers(0, size[0], n)) for n in num_actors),
        voxel_sources=torch.from_numpy(rng.integers(0, size[0], size).astype(np.int16)),
    )


def boxes_batch(*boxes_of_clips: list[list[float]]) -> ClipBatch:
    """Return clips with provenance, whose actors have the same box on all frames."""
    boxes = tuple(torch.tensor(b, dtype=torch.float32).reshape(-1, 1, 4).repeat(1, FRAMES, 1) for b in boxes_of_clips)
    return add_provenance(
        ClipBatch(
            clips=torch.rand(len(boxes), 3, FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)),
            boxes=boxes,
            valid=tuple(torch.ones(len(b), FRAMES, dtype=torch.bool) for b in boxes),
            labels=tuple(torch.arange(len(b)) for b in boxes),
        )
    )


def new_scene(batch: ClipBatch, *edited: int) -> ClipBatch:
    """Return the batch with some clips' background taken from the next clip, and all clips' originals."""
    covered = (batch.provenance == 0) & torch.isin(torch.arange(len(batch)), torch.tensor(edited)).view(-1, 1, 1, 1)
    return dataclasses.replace(
        batch,
        clips=torch.where(covered[:, None], batch.clips.roll(-1, 0) + 3, batch.clips),
        voxel_sources=torch.where(covered, batch.voxel_sources.roll(-1, 0), batch.voxel_sources),
        originals=batch.clips,
    )


def provenance_masks(batch: ClipBatch) -> torch.Tensor:
    """Return where each actor of the batch is."""
    volumes = [
        ids == k for ids, n in zip(batch.provenance, map(len, batch.labels), strict=True) for k in range(1, n + 1)
    ]
    return torch.stack(volumes) if volumes else torch.zeros(0, *batch.provenance.shape[1:], dtype=torch.bool)


def masks_of(source: MaskSource, batch: ClipBatch, actors: list[int] | None = None, seed: int = 0) -> torch.Tensor:
    numbers = range(sum(map(len, batch.labels))) if actors is None else actors
    rows = rows_of_actors(batch, torch.tensor(list(numbers), dtype=torch.int64))
    return source(batch, rows, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("source", SOURCES, ids=str)
@pytest.mark.parametrize("actors", [[], [1], [2, 0, 1, 1]])
def test_every_asked_actor_has_a_mask(source, actors):
    batch = new_scene(boxes_batch([[1, 1, 5, 5], [8, 2, 14, 9]], [], [[3, 3, 9, 9]]), 0)
    masks = masks_of(source, batch, actors)
    assert masks.shape == (len(actors), FRAMES, HEIGHT, WIDTH) and masks.dtype == torch.bool


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_batch_without_actors_has_no_masks(source):
    assert masks_of(source, new_scene(boxes_batch([], []), 1)).shape == (0, FRAMES, HEIGHT, WIDTH)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_masks_depend_on_the_batch_and_the_generator_alone(source):
    batch = new_scene(boxes_batch([[1, 1, 5, 5], [8, 2, 14, 9]], [[3, 3, 9, 9]]), 0, 1)
    first = masks_of(source, batch, seed=4)
    torch.manual_seed(7)
    assert torch.equal(masks_of(source, batch, seed=4), first)


@pytest.mark.parametrize("source", [s for s in SOURCES if not isinstance(s, RandomMasks)], ids=str)
def test_masks_follow_a_flip_and_the_order_of_the_actors(source):
    batch = new_scene(boxes_batch([[1, 1, 5, 5], [8, 2, 14, 9]], [[3, 3, 9, 9]], [[0, 0, 7, 12]]), 0, 1)
    masks = masks_of(source, batch)
    assert torch.equal(masks_of(source, batch, [3, 0, 2]), masks[[3, 0, 2]])
    volumes = ("clips", "provenance", "voxel_sources", "originals")
    flipped = dataclasses.replace(batch, **{name: getattr(batch, name).flip(-1) for name in volumes})
    assert torch.equal(masks_of(source, flipped), masks.flip(-1))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), SEEDS, st.sampled_from([0.1, 0.3, 0.5]))
@settings(max_examples=50, deadline=None)
def test_a_dilated_mask_holds_the_actor_that_holds_the_eroded_mask(num_actors, seed, fraction):
    batch = make_batch(*num_actors, seed=seed)
    own = masks_of(ProvenanceMasks(), batch)
    dilated, eroded = (masks_of(ProvenanceMasks(grow=grow), batch) for grow in (fraction, -fraction))
    assert torch.equal(own, provenance_masks(batch))
    assert not (own & ~dilated).any() and not (eroded & ~own).any()
    assert torch.equal(eroded.flatten(2).any(2), own.flatten(2).any(2))


@pytest.mark.parametrize(("grow", "expected"), [(0.2, [4, 1, 16, 11]), (-0.2, [6, 3, 14, 9]), (0.0, [5, 2, 15, 10])])
def test_a_box_grows_by_the_stated_fraction(grow, expected):
    tight, _ = mask_boxes(masks_of(ProvenanceMasks(grow=grow), boxes_batch([[5, 2, 15, 10]])))
    assert tight.tolist() == [[expected] * FRAMES]


@pytest.mark.parametrize("grow", [-1.0, -3.0, float("inf"), float("nan")])
def test_a_growth_out_of_range_is_an_error(grow):
    with pytest.raises(ConfigError, match=f"grow is {grow}"):
        ProvenanceMasks(grow=grow)


def test_the_voxels_of_the_clip_that_an_actor_came_from_are_its_own():
    batch = make_batch(2, 0, 1, seed=3)
    masks = masks_of(SourceClipMasks(), batch, [2, 0])
    for mask, clip, source in zip(masks, (2, 0), (batch.sources[2][0], batch.sources[0][0]), strict=True):
        assert torch.equal(mask, batch.voxel_sources[clip] == source)


def test_in_a_clip_that_is_not_mixed_all_voxels_are_of_the_actors_clip():
    assert masks_of(SourceClipMasks(), boxes_batch([[1, 1, 5, 5]], [[3, 3, 9, 9]])).all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), SEEDS, KINDS)
@settings(max_examples=50, deadline=None)
def test_random_masks_have_as_many_voxels_as_the_actor_on_every_frame(num_actors, seed, kind):
    batch = make_batch(*num_actors, seed=seed)
    masks = masks_of(RandomMasks(kind), batch, seed=seed)
    assert torch.equal(masks.sum(dim=(2, 3)), provenance_masks(batch).sum(dim=(2, 3)))


def test_a_displaced_mask_is_the_actors_moved_by_one_distance_on_all_frames():
    batch = make_batch(2, 1)
    own, masks = provenance_masks(batch), masks_of(RandomMasks("displaced"), batch, seed=1)
    shifts = set()
    for mask, of_actor in zip(masks, own, strict=True):
        found = [
            (down, right)
            for down in range(HEIGHT)
            for right in range(WIDTH)
            if torch.equal(mask, of_actor.roll((down, right), (1, 2)))
        ]
        assert len(found) == 1
        shifts.update(found)
    assert len(shifts) == 3  # each actor has its own


@pytest.mark.parametrize("kind", ["displaced", "bernoulli"])
def test_a_random_mask_is_equally_often_everywhere(kind):
    batch = boxes_batch([[2, 3, 8, 9]])
    often = torch.stack([masks_of(RandomMasks(kind), batch, seed=seed)[0] for seed in range(600)]).float().mean(0)
    share = 36 / (HEIGHT * WIDTH)
    assert (often - share).abs().max() < 5 * (share * (1 - share) / 600) ** 0.5


def test_scattered_voxels_differ_from_frame_to_frame_and_actor_to_actor():
    masks = masks_of(RandomMasks("bernoulli"), boxes_batch([[2, 3, 8, 9]], [[2, 3, 8, 9]])).flatten(0, 1)
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 2 * FRAMES


def test_another_kind_of_chance_is_an_error():
    with pytest.raises((ConfigError, TypeError), match="gaussian"):  # a TypeError where annotations are checked
        RandomMasks("gaussian")


def test_empty_masks_leave_nobody_a_voxel():
    assert not masks_of(EmptyMasks(), make_batch(2, 1)).any()


def test_what_an_edit_left_as_it_was_is_the_actors():
    batch = new_scene(boxes_batch([[1, 1, 5, 5], [8, 2, 14, 9]], [[3, 3, 9, 9]]), 0, 1)
    own = provenance_masks(batch)
    assert torch.equal(masks_of(DifferenceMasks(), batch), torch.stack([own[0] | own[1], own[0] | own[1], own[2]]))


def test_an_edit_of_the_clips_own_voxels_is_found_too():
    batch = boxes_batch([[1, 1, 5, 5]], [[3, 3, 9, 9]])
    darker = torch.where(batch.provenance[:, None] == 0, batch.clips - 3, batch.clips)
    batch = dataclasses.replace(batch, clips=darker, originals=batch.clips)
    assert torch.equal(masks_of(DifferenceMasks(), batch), provenance_masks(batch))


def test_in_a_clip_that_was_not_edited_an_actor_has_the_mask_of_its_provenance():
    batch = new_scene(boxes_batch([[1, 1, 5, 5], [8, 2, 14, 9]], [[3, 3, 9, 9]]), 1)
    assert torch.equal(masks_of(DifferenceMasks(), batch), provenance_masks(batch))
    unedited = dataclasses.replace(batch, clips=batch.originals, voxel_sources=boxes_batch([], []).voxel_sources)
    assert torch.equal(masks_of(DifferenceMasks(), unedited), provenance_masks(batch))


def test_an_edited_clip_that_equals_its_original_is_refused():
    batch = new_scene(boxes_batch([[1, 1, 5, 5]], [[3, 3, 9, 9]]), 0)
    with pytest.raises(ShapeError, match="the edited clip equals its original"):
        masks_of(DifferenceMasks(), dataclasses.replace(batch, originals=batch.clips))


def test_a_difference_does_not_tell_a_pasted_actor():
    batch = new_scene(boxes_batch([[1, 1, 5, 5]], [[3, 3, 9, 9]]), 0, 1)
    batch = dataclasses.replace(batch, sources=(torch.tensor([0]), torch.tensor([0])))
    assert masks_of(DifferenceMasks(), batch, [0]).any()
    with pytest.raises(ShapeError, match=r"row 1 of the penalty, in clip 1, is about .* from clip 0: .*Provenance"):
        masks_of(DifferenceMasks(), batch)


@pytest.mark.parametrize("source", [s for s in SOURCES if not isinstance(s, EmptyMasks)], ids=str)
def test_a_batch_without_provenance_is_refused(source):
    bare = dataclasses.replace(make_batch(1), provenance=None, sources=None, voxel_sources=None)
    with pytest.raises(ShapeError, match=r"add_provenance or a mixer adds it|has no originals"):
        masks_of(source, bare)


def test_originals_are_asked_for():
    with pytest.raises(ShapeError, match=r"has no originals.*ProvenanceMasks"):
        masks_of(DifferenceMasks(), make_batch(1))


@pytest.mark.gpu
@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_gpu_gives_the_masks_that_the_cpu_gives(source):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    batch = new_scene(boxes_batch([[1, 1, 5, 5], [8, 2, 14, 9]], [[3, 3, 9, 9]]), 0)
    on_gpu, generator = batch.to("cuda"), torch.Generator().manual_seed(0)
    masks = source(on_gpu, rows_of_actors(on_gpu, torch.tensor([2, 0, 1], device="cuda")), generator)
    assert masks.is_cuda and torch.equal(masks.cpu(), masks_of(source, batch, [2, 0, 1]))
