"""Errors that say which setting helps, for what torch raises when memory or a worker is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.runner import Runner

from stal.engine.faults.lost_workers import worker_error
from stal.engine.loader import loaders_of
from stal.errors import DeviceMemoryError, StalError


@contextmanager
def explained_building() -> Iterator[None]:
    """Say what to do where not even the model fits on the GPU, which the Runner puts it on.

    Raises:
        DeviceMemoryError: the memory of the GPU is not enough.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryError(
            "the GPU has not enough memory for the model itself: see by nvidia-smi whether another program uses it, "
            "choose another one (CUDA_VISIBLE_DEVICES), or make model.detector smaller (its backbone's depth and "
            f"width). torch says: {error}"
        ) from error


@contextmanager
def explained(runner: Runner) -> Iterator[None]:
    """Say what to do about a fault within the block.

    A worker's death is told by a signal, which torch turns into an error wherever the process is at that moment.

    Args:
        runner: what runs in the block.

    Raises:
        DeviceMemoryError: the memory of the GPU is not enough.
        WorkerError: a worker of a loader died.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryError(f"{_memory_advice(runner)}. torch says: {error}") from error
    except StalError:  # of these, too, some are a RuntimeError
        raise
    except RuntimeError as error:
        for loader in loaders_of(runner):
            found = worker_error(error, loader.dataset.readings, float(loader.timeout))
            if found is not None:
                raise found from error
        raise


def _memory_advice(runner: Runner) -> str:
    """Return which settings need less memory, with what they are now."""
    config = runner.cfg
    if runner.message_hub.get_info("loop_stage", "train") != "train":
        return (
            "the GPU has not enough memory to test: lower test_dataloader.batch_size "
            f"({config.test_dataloader.get('batch_size', 1)}), the transform's size, or the detector's num_test of "
            "model.detector.proposals"
        )
    loader, wrapper = config.train_dataloader, config.optim_wrapper
    num_accumulated = wrapper.get("accumulative_counts", 1)
    advice = [
        f"lower train_dataloader.batch_size ({_setting(loader, 'batch_size')}; half of it with "
        f"optim_wrapper.accumulative_counts={2 * num_accumulated} makes the same steps), "
        f"train_dataloader.dataset.num_frames_clip ({_setting(loader, 'dataset', 'num_frames_clip')}) or the size of "
        f"its transform ({_setting(loader, 'dataset', 'transform', 'size')})"
    ]
    if wrapper.get("precision", "float32") == "float32":
        advice.append("train in mixed precision (--amp)")
    if config.model.get("penalty"):
        advice.append(
            "take the penalty, whose second backward pass is in full precision, of fewer actors "
            "(model.penalty.subset='one_actor')"
        )
    return f"the GPU has not enough memory for a training step: {'; '.join(advice)}"


def _setting(settings: Any, *keys: str) -> Any:
    for key in keys:
        settings = settings.get(key, {})
    return settings
