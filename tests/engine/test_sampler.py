"""Whole videos for every process of a test."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.engine import sampler
from stal.engine.sampler import VideoBatchSampler
from stal.errors import ConfigError


def batches_of(num_clips: Sequence[int], batch_size: int, world_size: int) -> list[list[list[int]]]:
    """The batches of each process."""
    of_rank = []
    for rank in range(world_size):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sampler, "get_dist_info", lambda rank=rank: (rank, world_size))
            batches = VideoBatchSampler(num_clips, batch_size)
        assert len(batches) == len(list(batches))
        of_rank.append(list(batches))
    return of_rank


@pytest.mark.parametrize(
    ("num_clips", "world_size", "expected"),
    [
        ([], 2, [[], []]),
        ([2], 1, [[[0, 1]]]),
        ([2], 2, [[[0, 1]], []]),
        ([4, 3, 4], 2, [[[0, 1, 2], [3], [4, 5, 6]], [[7, 8, 9], [10]]]),
        ([1, 1, 1, 1], 2, [[[0], [1]], [[2], [3]]]),
        ([1, 8, 1], 3, [[[0]], [[1, 2, 3], [4, 5, 6], [7, 8]], [[9]]]),
    ],
)
def test_processes_get_runs_of_whole_videos(num_clips, world_size, expected):
    assert batches_of(num_clips, 3, world_size) == expected


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 5), st.integers(1, 6))
def test_every_clip_is_tested_once_in_the_same_batch_in_any_number_of_processes(num_clips, batch_size, world_size):
    of_rank = batches_of(num_clips, batch_size, world_size)
    together = [batch for batches in of_rank for batch in batches]
    assert together == batches_of(num_clips, batch_size, 1)[0]
    assert [clip for batch in together for clip in batch] == list(range(sum(num_clips)))
    video_of = [video for video, count in enumerate(num_clips) for _ in range(count)]
    assert all(len({video_of[clip] for clip in batch}) == 1 for batch in together)
    videos = [{video_of[clip] for batch in batches for clip in batch} for batches in of_rank]
    assert sum(map(len, videos)) == len(num_clips)
    loads = [sum(map(len, batches)) for batches in of_rank]
    assert max(loads) <= sum(num_clips) / world_size + max(num_clips)


def test_a_batch_without_clips_is_an_error():
    with pytest.raises(ConfigError, match="batch_size 0"):
        VideoBatchSampler([3], 0)
