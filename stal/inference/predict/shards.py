"""Which process predicts which videos: a share that every process works out alone, and all alike."""

import hashlib
import heapq
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stal.errors import ConfigError
from stal.inference.predict.videos import ListedVideo

_OWN_BYTES = 200_000
"""What a video costs besides its length (it is opened, its result written), as bytes of a video that cost as much."""

_VARIABLES = {
    "pytorch": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
}
_STARTS = {"pytorch": "torchrun --nproc-per-node NUM tools/predict.py ...", "slurm": "srun, a task a process"}


@dataclass(frozen=True)
class Shard:
    """One of `count` shares of the videos, numbered from 0."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ConfigError(
                f"--shard {self}: shards are numbered from 0, so that of {self.count} there are "
                f"0/{self.count} to {self.count - 1}/{self.count}"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def part(self, index: int, count: int) -> "Shard":
        """Return one of `count` shares of this share."""
        return Shard(self.index * count + index, self.count * count)


def parse_shard(text: str) -> Shard:
    """Return the shard that `i/n` names.

    Raises:
        ConfigError: it is not of this form, or there is no such shard.
    """
    numbers = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    if numbers is None or int(numbers[2]) == 0:
        raise ConfigError(f"--shard {text}: write i/n, such as 0/4 for the first of four")
    return Shard(int(numbers[1]), int(numbers[2]))


def shard_of_process(shard: Shard, launcher: str, environment: Mapping[str, str] = os.environ) -> tuple[Shard, int]:
    """Return the share of this process in a shard, and the process's number on its machine.

    Nothing is exchanged with the other processes: what the launcher tells each is enough.

    Args:
        shard: what all processes of the launch share.
        launcher: `none`, `pytorch` (torchrun) or `slurm` (srun).
        environment: of this process.

    Raises:
        ConfigError: the launcher did not start this process.
    """
    if launcher == "none":
        return shard, 0
    values = [environment.get(name, "") for name in _VARIABLES[launcher]]
    if not all(value.isdecimal() for value in values):
        missing = [name for name, value in zip(_VARIABLES[launcher], values, strict=True) if not value.isdecimal()]
        raise ConfigError(
            f"--launcher {launcher}: {', '.join(missing)} is not in the environment; start by {_STARTS[launcher]}"
        )
    rank, num_processes, local_rank = map(int, values)
    return shard.part(rank, num_processes), local_rank


def videos_of_shard(videos: Sequence[ListedVideo], shard: Shard) -> list[ListedVideo]:
    """Return the videos of a shard: every shard has about as many bytes, and every video is in one.

    The largest goes first, to the shard that has least (LPT). What one shard has depends on all videos and on nothing
    else, so that the processes agree without a word, also when one begins again.

    Args:
        videos: all of them, the same for every shard, in any order.
        shard: which share.

    Returns:
        The videos in an order that has nothing to do with their length or name: after a tenth of them about a tenth of
        the time has gone, and no folder is asked for all of its videos at once.
    """
    by_size = sorted(videos, key=lambda video: (-video.num_bytes, video.key))
    loads = [(0, index) for index in range(shard.count)]
    chosen = []
    for video in by_size:
        load, index = loads[0]
        heapq.heapreplace(loads, (load + video.num_bytes + _OWN_BYTES, index))
        if index == shard.index:
            chosen.append(video)
    return sorted(chosen, key=lambda video: hashlib.sha256(video.key.encode(errors="surrogateescape")).digest())
