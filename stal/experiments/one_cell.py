"""One cell in its own process: train, test on every set, look at the gradients, write the result.

This module is imported before the first cell is begun, with everything heavy that a training needs, so that no cell
waits for it.
"""

import dataclasses
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

import stal.engine.runner  # what entry.train imports late
import stal.evaluation.scene_shift_table  # noqa: F401
from stal.data.formats.whole_file import open_whole
from stal.engine.config import describe_config, load_config
from stal.engine.entry import measure_scene_shift, train
from stal.engine.faults.lock import locked
from stal.errors import ConfigError
from stal.experiments.data_sets import fill_folders
from stal.experiments.results import LOCK_FILE, RESULT_FILE
from stal.experiments.spec import Options
from stal.metrics.actor_accuracy import ACTOR_ACCURACY, WORST_GROUP_ACCURACY
from stal.metrics.headlines import FRAME_THRESHOLDS, VIDEO_THRESHOLDS
from stal.seeing.gradient_share import GradientShare, measure_gradient_share

HEADLINES = (
    ACTOR_ACCURACY,
    WORST_GROUP_ACCURACY,
    *(f"frame_mAP@{threshold}" for threshold in FRAME_THRESHOLDS),
    *(f"video_mAP@{threshold}" for threshold in VIDEO_THRESHOLDS),
    "video_mAP@0.5:0.95",
)
"""The numbers of every set; one that is not defined on it, as its videos have no scenes or no tubes, is null."""


@dataclass(frozen=True)
class CellJob:
    """What the process of a cell is told.

    Attributes:
        folder: where everything is written.
        config: path of the base config.
        options: what the cell changes in it; folders of data are still `{name}`.
        sets: to test on: by name a split or a folder, `{name}` in it too.
        folders: of the data, by their names.
        gradient_set: name of the set on which the gradients are looked at; None for none.
        recipe: what it all comes to, written beside the result.
        known: what the result says besides the numbers.
        keep_checkpoint: keep the trained weights.
    """

    folder: Path
    config: str
    options: Options
    sets: Mapping[str, str]
    folders: Mapping[str, Path]
    gradient_set: str | None
    recipe: Mapping[str, Any]
    known: Mapping[str, Any]
    keep_checkpoint: bool

    @property
    def filled_options(self) -> Options:
        """The options with the folders of the data."""
        return fill_folders(self.options, self.folders, "options")

    @property
    def filled_sets(self) -> Mapping[str, str]:
        """The sets with the folders of the data."""
        return fill_folders(self.sets, self.folders, "sets")

    @property
    def result(self) -> Path:
        """The file of the result."""
        return self.folder / RESULT_FILE

    @property
    def log(self) -> Path:
        """The file of what the process prints."""
        return self.folder / "log.txt"


def run_cell(job: CellJob) -> None:
    """Train and test a cell on one thread, and write its result.

    Raises:
        ConfigError: the config is not what it was when the cell was planned.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with locked(job.folder / LOCK_FILE, f"the cell in {job.folder}", wait=True):  # it outlives a killed runner a little
        _run(job)


def _run(job: CellJob) -> None:
    if describe_config(load_config(job.config, job.options)) != job.recipe["config"]:
        raise ConfigError(f"{job.config} has changed since the experiment was started; start it again")
    watch = _Watch()
    write_whole(job.folder / "recipe.json", job.recipe)
    train(job.config, work_dir=str(job.folder), options=job.filled_options)
    watch.note("train")
    metrics = _test(job)
    watch.note("test")
    share = None if job.gradient_set is None else _look_at_gradients(job, job.gradient_set)
    watch.note("gradients")
    result = {
        **job.known,
        "status": "done",
        "metrics": metrics,
        "gradient_share": None if share is None else dataclasses.asdict(share),
        "seconds": watch.seconds,
        "cpu_seconds": watch.cpu_seconds,
        "num_threads": torch.get_num_threads(),
    }
    write_whole(job.result, result)
    if not job.keep_checkpoint:
        for checkpoint in [*job.folder.glob("*.pth"), job.folder / "last_checkpoint"]:
            checkpoint.unlink(missing_ok=True)


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, which is there only when it is complete."""
    with open_whole(path) as file:
        file.write(f"{json.dumps(content, indent=2, allow_nan=False)}\n".encode())


class _Watch:
    """Says how long each step took, and how long it kept the processor busy.

    Attributes:
        seconds: of each step by its name.
        cpu_seconds: the same, of all threads of this process.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self._last, self._last_cpu = time.monotonic(), time.process_time()

    def note(self, step: str) -> None:
        """Note that a step has ended, and the next begins."""
        now, now_cpu = time.monotonic(), time.process_time()
        self.seconds[step], self.cpu_seconds[step] = now - self._last, now_cpu - self._last_cpu
        self._last, self._last_cpu = now, now_cpu


def _test(job: CellJob) -> dict[str, dict[str, float | None]]:
    """Return the headline numbers of every set; None for one that is not defined on it."""
    results = measure_scene_shift(
        job.config,
        str(job.folder),
        list(job.filled_sets.values()),
        work_dir=str(job.folder),
        options=job.filled_options,
        headlines_only=True,
    )
    return {
        name: {metric: number_or_none(of_set.get(metric)) for metric in HEADLINES}
        for name, of_set in zip(job.sets, results.values(), strict=True)
    }


def number_or_none(value: float | None) -> float | None:
    """Return a number, and NaN as None, which JSON can hold."""
    return None if value is None or math.isnan(value) else value


def _look_at_gradients(job: CellJob, gradient_set: str) -> GradientShare:
    """Return how much of the gradients lies in the actors on a set."""
    return measure_gradient_share(
        job.config,
        str(job.folder),
        split=job.filled_sets[gradient_set],
        work_dir=str(job.folder),
        options=job.filled_options,
    )
