import dataclasses

import pytest
import torch

from stal.errors import ConfigError
from stal.mixing.actor_cut_mix import ActorCutMix
from stal.mixing.layers import add_provenance
from stal.structures import ClipBatch

FRAMES, HEIGHT, WIDTH = 2, 4, 10
HOST, DONOR = [[0.0, 0.0, 4.0, 4.0]], [[5.0, 1.0, 7.0, 3.0]]


def batch_of(*boxes: list, dtype: torch.dtype = torch.uint8) -> ClipBatch:
    """Return clips of noise below 100 whose actors, of 200, have the same boxes on both frames."""
    boxes = tuple(torch.tensor(b).view(-1, 1, 4).repeat(1, FRAMES, 1) for b in boxes)
    batch = ClipBatch(
        torch.randint(100, (len(boxes), 3, FRAMES, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0)),
        boxes,
        tuple(torch.ones(len(b), FRAMES, dtype=torch.bool) for b in boxes),
        tuple(torch.arange(len(b)) for b in boxes),
        scenes=torch.arange(len(boxes)) + 7,
    )
    actors = add_provenance(batch).provenance[:, None] > 0
    return dataclasses.replace(batch, clips=torch.where(actors, 200, batch.clips).to(dtype))


def mix(batch: ClipBatch, seed: int = 0, **options) -> ClipBatch:
    return ActorCutMix(**{"probability": 1.0, **options})(batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_actors_are_seen_before_the_other_clip_whose_actors_have_the_mean_colour_of_its_scene(dtype):
    batch = batch_of(HOST, DONOR, dtype=dtype)
    mixed = mix(batch)
    assert mixed.clips.dtype == dtype
    host, donor = (ids > 0 for ids in add_provenance(batch).provenance)
    assert torch.equal(mixed.provenance[0], host.short())
    assert torch.equal(mixed.clips[0][:, host], batch.clips[0][:, host])
    assert torch.equal(mixed.clips[0][:, ~host & ~donor], batch.clips[1][:, ~host & ~donor])
    mean = batch.clips[1].float()[:, ~donor].mean(dim=1)
    blank = mixed.clips[0][:, donor].float()
    assert (blank == blank[:, :1]).all()
    assert torch.allclose(blank[:, 0], mean if dtype.is_floating_point else mean.round(), atol=1e-4)
    assert mixed.scenes.tolist() == [8, 7]
    assert torch.equal(mixed.voxel_sources[0], (~host).short())
    assert mixed.labels[0].tolist() == [0] and torch.equal(mixed.boxes[0], batch.boxes[0])


@pytest.mark.parametrize(
    ("boxes", "ratio"),
    [
        (HOST, 16 / 40),
        ([[0.0, 0.0, 1.0, 1.0]], 1 / 40),
        ([[0.0, 0.0, 2.0, 4.0], [1.0, 0.0, 4.0, 4.0]], 16 / 40),  # all actors of the clip, each voxel once
        ([[0.0, 0.0, 10.0, 4.0]], 1.0),
    ],
)
def test_labels_weigh_the_more_the_larger_the_part_of_the_clip_that_is_its_actors(boxes, ratio):
    mixed = mix(batch_of(boxes, DONOR))
    assert mixed.label_weights[0].tolist() == pytest.approx([1 - (ratio - 1) ** 4] * len(boxes))


def test_the_weight_is_of_all_frames_and_multiplies_what_an_earlier_mixer_left():
    batch = batch_of(HOST, DONOR)
    seen = torch.tensor([[True, False]])
    weights = (torch.tensor([0.5]), torch.tensor([1.0]))
    batch = dataclasses.replace(
        batch, valid=(seen, batch.valid[1]), boxes=(batch.boxes[0] * seen[..., None], batch.boxes[1])
    )
    mixed = mix(dataclasses.replace(batch, label_weights=weights))
    assert mixed.label_weights[0].tolist() == pytest.approx([0.5 * (1 - (8 / 40 - 1) ** 4)])


def test_the_other_clips_actors_are_blanked_also_where_they_are_not_annotated():
    batch = batch_of(HOST, DONOR)
    seen = torch.tensor([[True, False]])
    batch = dataclasses.replace(
        batch, valid=(batch.valid[0], seen), boxes=(batch.boxes[0], batch.boxes[1] * seen[..., None])
    )
    mixed = mix(batch)
    assert (mixed.clips[0][:, mixed.provenance[0] == 0] < 100).all()


def test_silhouettes_can_be_cut_out():
    batch = batch_of(HOST, DONOR)
    masks = [torch.rand(1, FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) < 0.5] * 2
    mixed = mix(dataclasses.replace(batch, actor_masks=tuple(masks)), mask="silhouette")
    assert torch.equal(mixed.provenance[0] > 0, masks[0][0] & (add_provenance(batch).provenance[0] > 0))


@pytest.mark.parametrize("batch", [batch_of(HOST), batch_of([], DONOR)], ids=["alone", "without actors"])
def test_a_clip_without_actors_or_without_another_clip_is_left_as_it_is(batch):
    mixed = mix(batch)
    assert torch.equal(mixed.clips[0], batch.clips[0])
    assert not mixed.voxel_sources[0].any() and mixed.scenes[0] == 7
    assert (mixed.label_weights[0] == 1).all()


def test_a_clip_that_is_all_actor_has_no_colour_to_blank_it_with():
    mixed = mix(batch_of(HOST, [[0.0, 0.0, 10.0, 4.0]]))
    assert not mixed.clips[0][:, mixed.provenance[0] == 0].any()


def test_a_probability_out_of_range_is_an_error():
    with pytest.raises(ConfigError, match="ActorCutMix: probability is -1"):
        ActorCutMix(probability=-1.0)


def test_a_clip_whose_actors_have_no_silhouettes_is_left_as_it_is():
    batch = batch_of(HOST, DONOR)
    nothing = torch.zeros(1, FRAMES, HEIGHT, WIDTH, dtype=torch.bool)
    mixed = mix(dataclasses.replace(batch, actor_masks=(nothing, ~nothing)), mask="silhouette")
    assert torch.equal(mixed.clips[0], batch.clips[0])
    assert mixed.scenes[0] == 7 and len(mixed.labels[0]) == 0
