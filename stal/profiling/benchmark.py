"""The benchmark of a config: every part of its work, against the bare network and the device."""

import gc
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from rich.progress import Progress

from stal.engine.config import load_config
from stal.engine.precision import refuse_wrong_gradients, with_mixed_precision
from stal.errors import ConfigError, DataNotFoundError
from stal.evaluation.origin import describe_origin
from stal.evaluation.outputs import check_targets, write_json
from stal.evaluation.report import new_console
from stal.profiling.flops import count_flops, matmul_flops_per_second
from stal.profiling.loading import measure_loading, open_loader
from stal.profiling.random_clips import random_clips
from stal.profiling.steps import BARE, BARE_FORWARD, Step, Training, test_steps, train_steps
from stal.profiling.table import print_benchmark
from stal.profiling.timing import PartTimer, take_turns

NUM_REPEATS, NUM_ACTORS = 5, 2


def benchmark(
    config_path: str,
    *,
    device: str | None = None,
    amp: bool = False,
    num_actors: int = NUM_ACTORS,
    num_repeats: int = NUM_REPEATS,
    with_data: bool = True,
    options: Mapping[str, Any] | None = None,
    out: str | None = None,
) -> dict[str, Any]:
    """Measure how fast a config trains and detects, print a table, and return the numbers.

    Networks are timed on clips of noise of the config's size, as many as its batches have; they take turns, and the
    fastest repeat of each counts. The loader is timed on the config's own training clips, alone and with a training
    beside it; where they are not there, that part says so.

    Args:
        config_path: the config file.
        device: `cpu`, `cuda` or `cuda:1`; None for a GPU if there is one.
        amp: mixed precision, see `with_mixed_precision`.
        num_actors: of each clip.
        num_repeats: timed repeats of each step, and batches that are read.
        with_data: measure the loader too.
        options: settings of the config to change.
        out: .json to write the numbers to.

    Raises:
        ConfigError: a number or the device cannot be.
    """
    if num_repeats < 1 or num_actors < 1:
        raise ConfigError(f"{num_repeats} repeats with {num_actors} actors a clip: both must be at least 1")
    check_targets(out)
    chosen = _device(device)
    config = load_config(config_path, options)
    if amp:
        config = with_mixed_precision(config)
    refuse_wrong_gradients(config)
    MessageHub.get_instance("benchmark")
    found = {
        "config": config_path,
        "batch_size": config.train_dataloader.batch_size,
        "clip_size": list(_clip_size(config)),
        "num_actors": num_actors,
        "precision": config.optim_wrapper.get("precision", "float32"),
        "device": torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else f"{torch.get_num_threads()} threads",
        **_measure_networks(config, chosen, num_actors, num_repeats),
        "loader": _measure_loader(config, chosen, num_repeats) if with_data else None,
        "origin": describe_origin(),
    }
    print_benchmark(found)
    if out:
        write_json(out, found)
    return found


def _device(name: str | None) -> torch.device:
    try:
        chosen = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ConfigError(f"--device {name}: torch knows no such device; take cpu, cuda or cuda:1") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"--device {name}: torch sees no GPU here; leave it out to measure the CPU")
    return chosen


def _clip_size(config: Config) -> tuple[int, int, int]:
    """Return frames, height and width of the training clips."""
    dataset = config.train_dataloader.dataset
    height, width = dataset.transform.size
    return dataset.num_frames_clip, height, width


def _measure_networks(config: Config, device: torch.device, num_actors: int, num_repeats: int) -> dict[str, Any]:
    """Return rows for training and for detection, and what the device does at most."""
    clips = random_clips(config.train_dataloader.batch_size, _clip_size(config), num_actors=num_actors)
    precision = getattr(torch, config.optim_wrapper.get("precision", "float32"))
    kinds = {"train": (train_steps, BARE), "detect": (test_steps, BARE_FORWARD)}
    builders = {kind: make(config, clips, device) for kind, (make, _) in kinds.items()}
    num_turns = sum(map(len, builders.values())) * (num_repeats + 1)
    rows: dict[str, Any] = {}
    with Progress(console=new_console(), transient=True) as progress:
        task = progress.add_task("timing", total=num_turns)
        for kind, of_kind in builders.items():
            rows[kind] = _measure_kind(
                of_kind, kinds[kind][1], device, len(clips), num_repeats, partial(progress.advance, task)
            )
    return rows | {"matmul_flops_per_second": matmul_flops_per_second(device, precision)}


def _measure_kind(
    builders: Mapping[str, Callable[[], Step]],
    baseline: str,
    device: torch.device,
    num_clips: int,
    num_repeats: int,
    after_turn: Callable[[], None],
) -> dict[str, Any]:
    flops, peaks = {}, {}
    for name, build in builders.items():  # one model at a time, so that each has the memory to itself
        step = build()
        flops[name] = count_flops(partial(step.run, PartTimer(device))) / step.num_steps
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            step.run(PartTimer(device))
            peaks[name] = torch.cuda.max_memory_allocated(device)
        del step
        gc.collect()
    steps = {name: build() for name, build in builders.items()}
    timings = take_turns({name: step.run for name, step in steps.items()}, device, num_repeats, after_turn=after_turn)
    seconds = {name: timing.seconds / steps[name].num_steps for name, timing in timings.items()}
    return {
        name: {
            "seconds": seconds[name],
            "clips_per_second": num_clips / seconds[name],
            "ratio": seconds[name] / seconds[baseline],
            "parts": {part: seconds / timing.seconds for part, seconds in timing.parts.items()},
            "flops": flops[name],
            "peak_bytes": peaks.get(name),
        }
        for name, timing in timings.items()
    }


def _measure_loader(config: Config, device: torch.device, num_batches: int) -> dict[str, Any]:
    """Return what the loader gives, alone and beside the training of the config; or why it gives nothing."""
    config = config.copy()
    config.work_dir = str(Path(config.get("work_dir") or "work_dirs") / "benchmark")
    try:
        loader = open_loader(config)
    except DataNotFoundError as error:
        return {"not_measured": str(error)}
    try:
        alone = measure_loading(loader, num_batches, device)
        training = Training(config, device)
        together = measure_loading(loader, num_batches, device, lambda batch: training.step(batch, PartTimer(device)))
    finally:
        loader.close()
    return {
        "num_workers": loader.num_workers,
        "clips_per_second": alone.clips_per_second,
        "end_to_end_clips_per_second": together.clips_per_second,
        "data_time_share": together.data_time_share,
    }
