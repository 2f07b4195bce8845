"""The persons of two clips in one: whose joints are whose, and the control's persons."""

import dataclasses

import pytest
import torch

from stal.errors import ConfigError, ShapeError
from stal.mixing.keypoint_mix import KeypointMix, RandomPersonMasks, joint_provenance
from stal.mixing.mask_sources import EmptyMasks, ProvenanceMasks
from stal.mixing.penalty_rows import label_targets, rows_of_labels, sources_of_actors
from stal.structures import ClipBatch

FRAMES, PLACES, JOINTS = 2, 4, 3


def batch_of(*num_persons: int) -> ClipBatch:
    """Return clips whose points are all different; clip b has the label b % 3, and persons have none of their own."""
    size = len(num_persons)
    clips = torch.arange(size * 3 * FRAMES * PLACES * JOINTS).reshape(size, 3, FRAMES, PLACES, JOINTS).float()
    there = torch.rand(size, FRAMES, PLACES, JOINTS, generator=torch.Generator().manual_seed(0)) > 0.3
    there &= (torch.arange(PLACES) < torch.tensor(num_persons)[:, None])[:, None, :, None]
    provenance, voxel_sources = joint_provenance(there, torch.tensor(num_persons))
    return ClipBatch(
        clips=clips * there[:, None],
        boxes=tuple(torch.full((n, FRAMES, 4), float(b)) for b, n in enumerate(num_persons)),
        valid=tuple(torch.ones(n, FRAMES, dtype=torch.bool) for n in num_persons),
        labels=tuple(torch.full((n,), -1) for n in num_persons),
        provenance=provenance,
        voxel_sources=voxel_sources,
        sources=tuple(torch.full((n,), b) for b, n in enumerate(num_persons)),
        label_weights=tuple(torch.ones(n) for n in num_persons),
        video_labels=tuple(torch.tensor([b % 3]) for b in range(size)),
    )


def mixed(batch: ClipBatch, probability: float = 1.0, seed: int = 0) -> ClipBatch:
    return KeypointMix(probability)(batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(5))
def test_every_joint_is_that_of_its_person_in_its_clip(seed: int) -> None:
    before = batch_of(2, 1, 3)
    after = mixed(before, seed=seed)
    assert after.provenance is not None and after.voxel_sources is not None and after.sources is not None
    assert before.provenance is not None
    for host in range(3):
        n = len(after.labels[host])
        own = len(before.labels[host])
        assert own < n <= PLACES
        assert after.sources[host][:own].tolist() == [host] * own
        (donor,) = set(after.sources[host][own:].tolist())
        assert donor != host
        ids = after.provenance[host]
        assert set(ids[:, n:].flatten().tolist()) <= {0}
        for place in range(n):
            source = host if place < own else donor
            assert {place + 1} <= set(ids[:, place].flatten().tolist()) <= {0, place + 1}
            assert (after.voxel_sources[host][:, place] == source).all()
            matches = [
                p
                for p in range(len(before.labels[source]))
                if torch.equal(after.clips[host][:, :, place], before.clips[source][:, :, p])
                and torch.equal(ids[:, place] > 0, before.provenance[source][:, p] > 0)
            ]
            assert len(matches) == 1
            assert (after.boxes[host][place] == source).all()
        assert (after.voxel_sources[host][:, n:] == host).all()
        assert not after.clips[host][:, :, n:].any()


def test_nothing_in_the_batch_is_changed_and_equal_generators_mix_alike() -> None:
    before, copy = batch_of(2, 1), batch_of(2, 1)
    first, second = mixed(before), mixed(before)
    for name in ("clips", "provenance", "voxel_sources"):
        assert torch.equal(getattr(before, name), getattr(copy, name))
        assert torch.equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    ("num_persons", "probability", "expected"),
    [
        ((2, 1), 0.0, [2, 1]),
        ((2, 0), 1.0, [2, 2]),  # who has nobody gets somebody, and is no donor
        ((4, 1), 1.0, [4, 4]),  # no free place; and three are left
        ((3,), 1.0, [3]),
        ((0, 0), 1.0, [0, 0]),
    ],
)
def test_who_joins(num_persons: tuple[int, ...], probability: float, expected: list[int]) -> None:
    after = mixed(batch_of(*num_persons), probability)
    assert [len(labels) for labels in after.labels] == expected


def test_label_sets_are_joined_and_a_row_is_about_the_persons_of_its_videos() -> None:
    after = mixed(batch_of(2, 1))
    persons = torch.arange(sum(map(len, after.labels)))
    seen = sources_of_actors(after, persons)
    assert label_targets(after, seen, 3).tolist() == [[1, 1, 0], [1, 1, 0]]
    rows = rows_of_labels(after, seen, 3)
    assert (rows.clip_index.tolist(), rows.labels.tolist()) == ([0, 0, 1, 1], [0, 1, 0, 1])
    masks = ProvenanceMasks()(after, rows, torch.Generator())
    assert after.provenance is not None
    there = after.provenance > 0
    assert torch.equal(masks[0], there[0] & (torch.arange(PLACES) < 2)[:, None])
    for clip in range(2):  # the two labels of a clip share its joints out
        assert torch.equal(masks[2 * clip] ^ masks[2 * clip + 1], there[clip])


def test_random_masks_are_as_many_persons_of_the_clip_each_equally_often() -> None:
    after = mixed(batch_of(2, 1))
    assert after.provenance is not None
    rows = rows_of_labels(after, sources_of_actors(after, torch.arange(6)), 3)
    generator, trials = torch.Generator().manual_seed(0), 300
    counts = torch.zeros(4, PLACES)
    for _ in range(trials):
        masks = RandomPersonMasks()(after, rows, generator)
        assert not (masks & ~(after.provenance > 0)[rows.clip_index]).any()
        drawn = masks.any(-1).any(1)
        assert torch.equal(drawn.sum(1), rows.actors.sum(1))
        counts += drawn
    expected = rows.actors.sum(1, keepdim=True) / 3
    deviation = (expected * (1 - expected) / trials).sqrt()
    assert ((counts / trials - expected).abs()[:, :3] < 4 * deviation).all()
    assert not counts[:, 3].any()
    assert not EmptyMasks()(after, rows, generator).any()


def test_without_mixing_random_masks_are_all_persons() -> None:
    batch = batch_of(2, 1)
    assert batch.provenance is not None
    rows = rows_of_labels(batch, sources_of_actors(batch, torch.arange(3)), 3)
    assert torch.equal(RandomPersonMasks()(batch, rows, torch.Generator()), batch.provenance > 0)


def test_no_probability_and_no_provenance_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"probability is 1\.5"):
        KeypointMix(1.5)
    with pytest.raises(ShapeError, match=r"no provenance.*KeypointPreprocessor"):
        mixed(dataclasses.replace(batch_of(1, 1), provenance=None))
