"""Start a run on the processes that there are, and put its results together."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import torch
from torch import distributed

from stal.engine.faults.lock import locked
from stal.inference.predict.on_ray import predict_on_ray
from stal.inference.predict.results import Merged, ResultFolder
from stal.inference.predict.run import predict_videos
from stal.inference.predict.settings import PredictSettings
from stal.inference.predict.shards import Shard, shard_of_process, videos_of_shard
from stal.inference.predict.videos import ListedVideo

_LONGEST_RUN = timedelta(days=365)


def predict(
    settings: PredictSettings,
    videos: Sequence[ListedVideo],
    *,
    shard: Shard,
    launcher: str = "none",
    num_workers: int | None = None,
) -> int:
    """Predict the videos of a shard that have no result yet, and return how many of the shard have none in the end.

    Args:
        settings: say with what.
        videos: of all shards.
        shard: which share of them.
        launcher: `none`; `pytorch` (torchrun) or `slurm` (srun), whose processes divide the shard; or `ray`.
        num_workers: processes on Ray, see `predict_on_ray`.

    Raises:
        ConfigError, CheckpointError: see `predict_videos`.
    """
    own, local_rank = (shard, 0) if launcher == "ray" else shard_of_process(shard, launcher)
    chosen = videos_of_shard(videos, own)
    lock = settings.out / "locks" / f"{own.index}_of_{own.count}"
    with locked(lock, f"the prediction into {settings.out}, shard {own},"):
        if launcher == "ray":
            num_failed = predict_on_ray(settings, chosen, num_workers)
        else:
            name = f"predict, shard {own}" if own.count > 1 else "predict"
            num_failed = predict_videos(replace(settings, device=settings.device or _gpu(local_rank)), chosen, name)
    return _total(num_failed) if launcher == "pytorch" else num_failed


def merge(settings: PredictSettings, videos: Sequence[ListedVideo]) -> Merged:
    """Write the results of all videos into one file, see `ResultFolder.merge`.

    Raises:
        ConfigError: the results are of another run, or not all there, or broken.
    """
    results = ResultFolder(settings.out)
    results.check(settings.recipe())
    return results.merge(videos)


def _gpu(local_rank: int) -> str | None:
    """Return the GPU of a process: several may share one, so that one reads while another computes."""
    num_gpus = torch.cuda.device_count()
    return f"cuda:{local_rank % num_gpus}" if num_gpus else None


def _total(num_failed: int) -> int:
    """Return the sum over the processes of torchrun, when the last is done: an exit code but 0 would end the others."""
    distributed.init_process_group("gloo", timeout=_LONGEST_RUN)
    total = torch.tensor(num_failed)
    distributed.all_reduce(total)
    distributed.destroy_process_group()
    return int(total)
