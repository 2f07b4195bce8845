import pytest
import torch

from stal.data.epoch_sampler import EpochSampler


def test_every_epoch_has_every_index_once_in_another_order_with_other_seeds():
    sampler = EpochSampler(range(20), seed=1)
    first = list(sampler)
    assert first == list(sampler)
    assert sorted(index for index, _ in first) == list(range(20)) and len(sampler) == 20
    sampler.set_epoch(1)
    second = list(sampler)
    assert [index for index, _ in second] != [index for index, _ in first]
    assert not {seed for _, seed in first} & {seed for _, seed in second}
    assert list(EpochSampler(range(20), seed=2)) != first


def shares_of(monkeypatch, world_size: int, epoch: int, num_samples: int = 7) -> list[list[tuple[int, int]]]:
    """What each of several processes takes of an epoch."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: world_size)
    shares = []
    for rank in range(world_size):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        sampler = EpochSampler(range(num_samples), seed=3)
        sampler.set_epoch(epoch)
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1])
    return shares


@pytest.mark.parametrize("epoch", [0, 4])
@pytest.mark.parametrize(("world_size", "length"), [(1, 7), (2, 4), (3, 3)])
def test_processes_share_an_epoch_evenly(monkeypatch, world_size, length, epoch):
    alone = EpochSampler(range(7), seed=3)
    alone.set_epoch(epoch)
    alone = list(alone)
    shares = shares_of(monkeypatch, world_size, epoch)
    assert {len(share) for share in shares} == {length}
    together = [pair for pairs in zip(*shares, strict=True) for pair in pairs]
    assert together[:7] == alone
    assert [index for index, _ in together[7:]] == [index for index, _ in alone[: len(together) - 7]]
    assert len({seed for _, seed in together}) == len(together)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_shares_of_an_epoch_that_divides_evenly_have_nothing_in_common(monkeypatch, world_size):
    shares = shares_of(monkeypatch, world_size, epoch=1, num_samples=12)
    assert sorted(index for share in shares for index, _ in share) == list(range(12))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_resumed_training_goes_on_with_the_epoch_that_would_have_come(monkeypatch, rank):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
    through = EpochSampler(range(9), seed=5)
    for epoch in range(4):
        through.set_epoch(epoch)
        last = list(through)
    resumed = EpochSampler(range(9), seed=5)
    resumed.set_epoch(3)
    assert list(resumed) == last


@pytest.mark.parametrize("num_skipped", [0, 1, 3, 4])
@pytest.mark.parametrize("rank", [0, 1])
def test_an_epoch_goes_on_behind_the_samples_that_it_had(monkeypatch, rank, num_skipped):
    whole = shares_of(monkeypatch, 2, epoch=2)[rank]
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
    resumed = EpochSampler(range(7), seed=3)
    resumed.set_epoch(2, num_skipped)
    assert list(resumed) == whole[num_skipped:]
    assert len(resumed) == 4  # an epoch is as long as ever
    resumed.set_epoch(2)
    assert list(resumed) == whole
