"""The data loaders: clips made by workers, in an order that follows from the seed."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import torch
from mmengine.config import Config
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader

from stal.data.clips import ClipDataset, collate_clips
from stal.data.epoch_sampler import EpochSampler
from stal.data.ledger import SampleLedger
from stal.data.processes import end_with_parent
from stal.data.reading_board import ReadingBoard
from stal.data.transforms import PendingClip
from stal.engine.build import build, call
from stal.engine.faults.lost_workers import worker_error
from stal.engine.sampler import VideoBatchSampler
from stal.errors import ConfigError
from stal.structures import Annotations, Clip

LEDGER = "bad_samples.jsonl"
"""File of the work directory that names the samples that could not be read."""

_START_SECONDS = 60.0  # enough for a worker to start


class ClipLoader(DataLoader[list[Clip | PendingClip]]):
    """A DataLoader that says what its workers were reading when one of them has died or hung."""

    dataset: ClipDataset  # type: ignore[assignment]  # of clips, and not of batches

    def __iter__(self) -> Iterator[list[Clip | PendingClip]]:  # type: ignore[override]
        """Yield the batches.

        Raises:
            WorkerError: no batch came for `timeout` seconds, or a worker has died.
        """
        try:
            for clips, counts in super().__iter__():
                self.dataset.ledger.count_used(counts)
                yield clips
        except RuntimeError as error:
            found = worker_error(error, self.dataset.readings, float(self.timeout))
            if found is None:
                raise
            raise found from error

    def close(self) -> None:
        """End the workers, which are kept from pass to pass; another one would start new ones."""
        if self._iterator is not None:
            self._iterator._shutdown_workers()  # type: ignore[attr-defined]  # torch has no public name for it
            self._iterator = None


def loaders_of(runner: Runner) -> list[ClipLoader]:
    """Return the loaders that a runner has built and still uses."""
    loops = (runner._train_loop, runner._val_loop, runner._test_loop)  # which the properties would build
    return [loop.dataloader for loop in loops if isinstance(loop, BaseLoop) and isinstance(loop.dataloader, ClipLoader)]


@contextmanager
def ended_workers(runner: Runner) -> Iterator[None]:
    """End the workers of a runner's loaders with the block: torch does when the last name of a loader is gone."""
    try:
        yield
    finally:
        for loader in loaders_of(runner):
            loader.close()


def build_loader(config: Config, loader: str, annotations: Annotations, seed: int) -> ClipLoader:
    """Return the data loader named `loader` over the clips of `annotations`.

    If there is a GPU, clips come in pinned memory. A loader with workers gives up on them if they take longer for a
    batch than if the reading of each of its clips were given up. The config may set both differently.

    Args:
        config: a whole config, with a `work_dir`; the ledger of bad samples is kept there.
        loader: `train_dataloader` or `test_dataloader`.
        annotations: the videos.
        seed: of everything random.

    Raises:
        ConfigError: a setting is unknown or cannot work.
    """
    of_dataset = {key: value for key, value in config[loader]["dataset"].items() if key != "split"}
    dataset_type = of_dataset.pop("type", ClipDataset)
    arguments = build(of_dataset, f"{loader}.dataset")
    settings = build({key: value for key, value in config[loader].items() if key != "dataset"}, loader)
    training = loader == "train_dataloader"
    arguments |= {"annotations": annotations, "training": training, "seed": seed}
    arguments.setdefault("ledger", Path(config.work_dir) / LEDGER)
    dataset = call(dataset_type, arguments, f"{loader}.dataset")
    if not isinstance(dataset, ClipDataset):
        raise ConfigError(f"{loader}.dataset.type = {dataset_type!r} is no data set of clips; leave it out")
    batch_size = settings.get("batch_size", 1)
    if training:
        sampler = EpochSampler(dataset, seed)
        if len(sampler) < batch_size:
            share = f", {len(sampler)} for each of {sampler.world_size} processes" if sampler.world_size > 1 else ""
            raise ConfigError(
                f"{loader}.batch_size = {batch_size}, but an epoch has only {len(dataset)} clips{share}: lower it, or "
                f"raise {loader}.dataset.clips_per_video"
            )
        settings |= {"sampler": sampler, "drop_last": True}
    else:
        settings.pop("batch_size", None)
        settings["batch_sampler"] = VideoBatchSampler(list(dataset.num_clips.values()), batch_size)
        # Each pass draws a number, which no test looks at; a validation must not draw it from the training's chance.
        settings.setdefault("generator", torch.Generator().manual_seed(seed))
    has_workers = settings.get("num_workers", 0) > 0
    if has_workers and dataset.read_timeout_seconds is not None:
        settings.setdefault("timeout", _START_SECONDS + batch_size * dataset.read_timeout_seconds)
    settings.setdefault("pin_memory", torch.cuda.is_available())
    settings |= {
        "dataset": dataset,
        "collate_fn": partial(_collate, dataset.ledger),
        "worker_init_fn": partial(_init_worker, dataset.readings),
        "persistent_workers": has_workers,
    }
    return call(ClipLoader, settings, loader)


def _collate(
    ledger: SampleLedger, clips: Sequence[Clip | PendingClip]
) -> tuple[list[Clip | PendingClip], tuple[int, int]]:
    """Return the clips of a batch, and what the ledger counted for them."""
    return collate_clips(clips), ledger.take_counts()


def _init_worker(readings: ReadingBoard, worker: int) -> None:
    """Keep a loader's worker to one thread, as the workers are what runs in parallel, and away from signals.

    A scheduler or a terminal sends them to all processes of a job at once, but a training that is asked to stop needs
    its workers until it has finished its step. In a session of its own, a worker is only signalled by itself. When the
    process that it works for is gone, it ends too, whatever it reads.
    """
    os.setsid()
    threading.Thread(target=end_with_parent, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    readings.sign_in()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
