"""What a penalty has a term for: whose score a row is, and what it is about."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.errors import ShapeError
from stal.mixing.batch_mix import BatchMix
from stal.mixing.layers import add_provenance
from stal.mixing.mask_sources import EmptyMasks, ProvenanceMasks, RandomMasks, SourceClipMasks
from stal.mixing.penalty_rows import (
    PenaltyRows,
    label_targets,
    rows_of_actors,
    rows_of_labels,
    sources_of_actors,
    sources_of_voxels,
)
from stal.structures import ClipBatch

FRAMES, HEIGHT, WIDTH, NUM_CLASSES = 2, 6, 8, 4


def batch_of(
    sources: list[list[int]], video_labels: list[list[int]], *, voxels: torch.Tensor | None = None, **changes
) -> ClipBatch:
    """Return a mixed batch with an actor for every number in `sources`, whose own labels are wrong.

    Actor k of a clip is column k. Other voxels are of the clip itself, where `voxels` does not say otherwise.
    """
    num_clips = len(sources)
    provenance = torch.zeros(num_clips, FRAMES, HEIGHT, WIDTH, dtype=torch.int16)
    own = torch.arange(num_clips, dtype=torch.int16).view(-1, 1, 1, 1)
    voxel_sources = own.expand_as(provenance).clone() if voxels is None else voxels
    for clip, of_actors in enumerate(sources):
        for actor, source in enumerate(of_actors):
            provenance[clip, :, :, actor] = actor + 1
            voxel_sources[clip, :, :, actor] = source
    return ClipBatch(
        clips=torch.zeros(num_clips, 3, FRAMES, HEIGHT, WIDTH),
        boxes=tuple(torch.zeros(len(s), FRAMES, 4) for s in sources),
        valid=tuple(torch.ones(len(s), FRAMES, dtype=torch.bool) for s in sources),
        labels=tuple(torch.full((len(s),), -1) for s in sources),
        provenance=provenance,
        sources=tuple(torch.tensor(s, dtype=torch.int64) for s in sources),
        voxel_sources=voxel_sources,
        video_labels=tuple(torch.tensor(v, dtype=torch.int64) for v in video_labels),
        **changes,
    )


def all_actors(batch: ClipBatch) -> torch.Tensor:
    return torch.arange(sum(map(len, batch.labels)))


def label_rows(batch: ClipBatch) -> PenaltyRows:
    return rows_of_labels(batch, sources_of_actors(batch, all_actors(batch)), NUM_CLASSES)


def masks_of(source, batch: ClipBatch, rows: PenaltyRows) -> torch.Tensor:
    return source(batch, rows, torch.Generator().manual_seed(0))


def columns(masks: torch.Tensor) -> list[list[int]]:
    """Return which columns each mask has; it has them on all rows and frames."""
    assert torch.equal(masks, masks[:, :1, :1].expand_as(masks))
    return [row.nonzero().flatten().tolist() for row in masks[:, 0, 0]]


def pairs(rows: PenaltyRows) -> list[tuple[int, int]]:
    return list(zip(rows.clip_index.tolist(), rows.labels.tolist(), strict=True))


def test_a_row_of_an_actor_is_about_it_and_the_clip_that_it_is_from():
    batch = batch_of([[0, 1], [], [2]], [[], [], []])
    batch = dataclasses.replace(batch, labels=tuple(map(torch.LongTensor, ([3, 1], [], [2]))))
    rows = rows_of_actors(batch, torch.tensor([2, 1]))
    assert len(rows) == 2 and pairs(rows) == [(2, 2), (0, 1)]
    assert rows.actors.tolist() == [[False, False, True], [False, True, False]]
    assert rows.sources.tolist() == [[False, False, True], [False, True, False]]


def test_before_mixing_an_actor_is_from_its_own_clip():
    batch = dataclasses.replace(batch_of([[0], [1]], [[2], [3]]), sources=None)
    assert rows_of_actors(batch, torch.arange(2)).sources.tolist() == [[True, False], [False, True]]
    assert pairs(label_rows(batch)) == [(0, 2), (1, 3)]


CASES = {
    "nothing mixed": ([[0], [1, 1]], [[2], [0, 3]], [(0, 2), (1, 0), (1, 3)]),
    "two sources": ([[0, 1], [1]], [[2], [0]], [(0, 0), (0, 2), (1, 0)]),
    "the same label in both": ([[0, 1], [1]], [[2], [2]], [(0, 2), (1, 2)]),
    "three sources, of which two share a label": (
        [[0, 1, 2], [1], [2]],
        [[0], [0, 1], [3]],
        [(0, 0), (0, 1), (0, 3), (1, 0), (1, 1), (2, 3)],
    ),
    "only another's actor is left": ([[1], [1]], [[2], [0]], [(0, 0), (1, 0)]),
    "nobody is there": ([[], [1]], [[2], [0]], [(1, 0)]),
    "a video without labels": ([[0, 1], [1]], [[], [0]], [(0, 0), (1, 0)]),
    "no video with labels": ([[0], [1]], [[], []], []),
}


@pytest.mark.parametrize("name", CASES)
def test_a_clip_has_the_labels_of_all_that_its_actors_come_from(name):
    sources, video_labels, expected = CASES[name]
    batch = batch_of(sources, video_labels)
    assert pairs(label_rows(batch)) == expected
    targets = label_targets(batch, sources_of_actors(batch, all_actors(batch)), NUM_CLASSES)
    assert [tuple(pair) for pair in targets.nonzero().tolist()] == expected
    assert set(targets.unique().tolist()) <= {0.0, 1.0}


def test_a_label_is_about_all_of_its_sources_and_all_people_in_them():
    """Three sources in one clip: 0 and 1 share label 0; actor 1 of source 0 may be doing anything."""
    batch = batch_of([[0, 0, 1, 2], [1], [2]], [[0], [0, 1], [3]])
    rows = label_rows(batch)
    assert pairs(rows)[:3] == [(0, 0), (0, 1), (0, 3)]
    assert columns(masks_of(ProvenanceMasks(), batch, rows))[:3] == [[0, 1, 2], [2], [3]]
    background = [4, 5, 6, 7]
    assert columns(masks_of(SourceClipMasks(), batch, rows))[:3] == [[0, 1, 2, *background], [2], [3]]
    assert not masks_of(EmptyMasks(), batch, rows).any()


def test_two_sources_with_different_labels_share_out_the_clip():
    batch = batch_of([[0, 1, 1], [1]], [[2], [0]])
    of_b, of_a = masks_of(SourceClipMasks(), batch, label_rows(batch))[:2]
    assert torch.equal(of_a, ~of_b) and of_b.any() and of_a.any()


def test_in_a_clip_that_is_not_mixed_a_label_may_look_anywhere():
    batch = batch_of([[0, 0], [1]], [[2, 0], [1]])
    assert masks_of(SourceClipMasks(), batch, label_rows(batch)).all()


@pytest.mark.parametrize("kind", ["displaced", "bernoulli"])
@pytest.mark.parametrize("of", [SourceClipMasks(), ProvenanceMasks()], ids=str)
def test_the_control_has_the_volume_of_what_it_is_the_control_for(kind, of):
    batch = batch_of([[0, 1], [1]], [[2], [0]])
    rows = label_rows(batch)
    masks, imitated = masks_of(RandomMasks(kind, of=of), batch, rows), masks_of(of, batch, rows)
    assert torch.equal(masks.sum((2, 3)), imitated.sum((2, 3)))
    assert not torch.equal(masks, imitated)


def test_the_labels_of_actors_are_not_looked_at():
    batch = batch_of([[0, 1], [1]], [[2], [0]])
    other = dataclasses.replace(batch, labels=tuple(torch.full_like(labels, 3) for labels in batch.labels))
    assert pairs(label_rows(batch)) == pairs(label_rows(other))


def test_only_some_actors_are_asked_what_a_clip_shows():
    batch = batch_of([[0, 1], [1]], [[2], [0]])
    seen = sources_of_actors(batch, torch.tensor([0]))
    assert seen.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert pairs(rows_of_labels(batch, seen, NUM_CLASSES)) == [(0, 2)]


def test_a_label_weighs_as_much_as_the_mixer_says_of_its_surest_actor():
    weights = (torch.tensor([0.25, 0.75, 0.5]), torch.ones(1))
    batch = batch_of([[0, 0, 1], [1]], [[2], [0, 2]], label_weights=weights)
    targets = label_targets(batch, sources_of_actors(batch, all_actors(batch)), NUM_CLASSES)
    assert targets.tolist() == [[0.5, 0.0, 0.75, 0.0], [1.0, 0.0, 1.0, 0.0]]


def test_without_boxes_voxels_say_what_a_clip_shows():
    voxels = torch.zeros(2, FRAMES, HEIGHT, WIDTH, dtype=torch.int16)
    voxels[1] = 1
    voxels[0, 0, 0, 0] = 1
    batch = batch_of([[], []], [[2], [0]], voxels=voxels)
    seen = sources_of_voxels(batch)
    assert seen.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    rows = rows_of_labels(batch, seen, NUM_CLASSES)
    assert pairs(rows) == [(0, 0), (0, 2), (1, 0)]
    masks = masks_of(SourceClipMasks(), batch, rows)
    assert torch.equal(masks[0], voxels[0] == 1) and torch.equal(masks[1], voxels[0] == 0) and masks[2].all()
    assert rows.actors.shape == (3, 0)


@given(st.integers(0, 1_000_000))
@settings(max_examples=25)
def test_batchmix_joins_label_sets_and_every_voxel_of_a_clip_is_about_one_of_them(seed):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(3, 2, 1, 2, generator=generator) * torch.tensor([WIDTH - 3.0, HEIGHT - 3.0])
    boxes = torch.cat([corners, corners + 3], dim=-1).expand(-1, -1, FRAMES, -1).contiguous()
    batch = ClipBatch(
        clips=torch.zeros(3, 3, FRAMES, HEIGHT, WIDTH, dtype=torch.uint8),
        boxes=tuple(boxes),
        valid=(torch.ones(2, FRAMES, dtype=torch.bool),) * 3,
        labels=(torch.zeros(2, dtype=torch.int64),) * 3,
        video_labels=(torch.tensor([0]), torch.tensor([1, 2]), torch.tensor([1])),
    )
    mixed = BatchMix(probability=0.7, max_pasted=100, min_visible=0.2)(batch, generator)
    rows = label_rows(mixed)
    targets = label_targets(mixed, sources_of_actors(mixed, all_actors(mixed)), NUM_CLASSES)
    for clip in range(3):
        shown = {int(source) for source in mixed.sources[clip]}
        expected = {int(label) for source in shown for label in batch.video_labels[source]}
        assert set(targets[clip].nonzero().flatten().tolist()) == expected
        assert {label for index, label in pairs(rows) if index == clip} == expected
    actors, sources = (masks_of(kind, mixed, rows) for kind in (ProvenanceMasks(), SourceClipMasks()))
    assert not (actors & ~sources).any()
    for row, (clip, label) in enumerate(pairs(rows)):
        having = [s for s in range(3) if label in batch.video_labels[s] and s in mixed.sources[clip]]
        assert torch.equal(sources[row], torch.isin(mixed.voxel_sources[clip], torch.tensor(having, dtype=torch.int16)))


def test_what_is_missing_is_named():
    batch = batch_of([[0]], [[0]])
    with pytest.raises(ShapeError, match=r"video_labels.*ClipDataset"):
        label_rows(dataclasses.replace(batch, video_labels=None))
    with pytest.raises(ShapeError, match=r"voxel_sources.*add_provenance or a mixer"):
        sources_of_voxels(dataclasses.replace(batch, voxel_sources=None))


def test_clips_that_are_only_given_provenance_have_the_labels_of_their_videos():
    batch = batch_of([[0], [1]], [[2], [3]])
    bare = dataclasses.replace(batch, provenance=None, sources=None, voxel_sources=None)
    boxes = tuple(torch.tensor([1.0, 1, 4, 4]).expand(1, FRAMES, 4) for _ in range(2))
    known = add_provenance(dataclasses.replace(bare, boxes=boxes))
    assert pairs(label_rows(known)) == [(0, 2), (1, 3)]
