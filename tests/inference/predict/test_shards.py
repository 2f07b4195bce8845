from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.errors import ConfigError
from stal.inference.predict.shards import Shard, parse_shard, shard_of_process, videos_of_shard
from stal.inference.predict.videos import ListedVideo


def videos_of(sizes) -> list[ListedVideo]:
    return [ListedVideo(f"{number}.mp4", Path(f"/v/{number}.mp4"), size) for number, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 10**9), max_size=30), st.integers(1, 8), st.randoms())
def test_every_video_is_in_one_shard_in_whatever_order_they_are_listed(sizes, count, random):
    videos = videos_of(sizes)
    shuffled = random.sample(videos, len(videos))
    shards = [videos_of_shard(videos, Shard(index, count)) for index in range(count)]
    assert shards == [videos_of_shard(shuffled, Shard(index, count)) for index in range(count)]
    assert sorted(video.key for shard in shards for video in shard) == sorted(video.key for video in videos)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60), st.integers(1, 8))
def test_no_shard_has_more_than_the_mean_and_one_video(sizes, count):
    own = 200_000
    videos = videos_of(sizes)
    loads = [
        sum(video.num_bytes + own for video in videos_of_shard(videos, Shard(index, count))) for index in range(count)
    ]
    assert max(loads) <= sum(loads) / count + max(sizes) + own


def test_videos_that_are_not_there_are_spread_too():
    videos = videos_of([0] * 12)
    assert [len(videos_of_shard(videos, Shard(index, 4))) for index in range(4)] == [3] * 4


def test_a_shard_does_not_begin_with_the_largest():
    videos = videos_of(range(100, 0, -1))
    sizes = [video.num_bytes for video in videos_of_shard(videos, Shard())]
    assert abs(sum(sizes[:50]) / sum(sizes) - 0.5) < 0.1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4/4", "shards are numbered from 0, so that of 4 there are 0/4 to 3/4"),
        ("0/0", "write i/n"),
        ("1", "write i/n"),
        ("-1/4", "write i/n"),
        ("a/b", "write i/n"),
    ],
)
def test_what_is_no_shard_is_said(text, said):
    with pytest.raises(ConfigError, match=said):
        parse_shard(text)


def test_a_shard_is_read_and_printed():
    assert parse_shard("3/16") == Shard(3, 16)
    assert str(Shard(3, 16)) == "3/16"


@pytest.mark.parametrize(
    ("launcher", "environment", "expected"),
    [
        ("none", {"RANK": "1", "WORLD_SIZE": "2"}, (Shard(1, 3), 0)),
        ("pytorch", {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, (Shard(13, 24), 1)),
        ("slurm", {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"}, (Shard(2, 6), 0)),
    ],
)
def test_processes_of_a_launcher_divide_the_shard(launcher, environment, expected):
    assert shard_of_process(Shard(1, 3), launcher, environment) == expected


@given(st.integers(1, 5), st.integers(1, 5))
def test_parts_of_all_shards_are_all_shards(count, num_processes):
    parts = {Shard(i, count).part(rank, num_processes) for i in range(count) for rank in range(num_processes)}
    assert parts == {Shard(i, count * num_processes) for i in range(count * num_processes)}


@pytest.mark.parametrize(
    ("launcher", "environment", "said"),
    [
        ("pytorch", {"RANK": "0"}, "WORLD_SIZE, LOCAL_RANK is not in the environment; start by torchrun"),
        ("slurm", {}, "SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID is not in the environment; start by srun"),
    ],
)
def test_a_process_that_was_not_launched_is_told_how(launcher, environment, said):
    with pytest.raises(ConfigError, match=said):
        shard_of_process(Shard(), launcher, environment)
