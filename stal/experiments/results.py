"""What the cells of an experiment gave, and statistics over their seeds."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

from stal.experiments.cells import PlannedCell

State = Literal["done", "failed", "stale", "missing"]
RESULT_FILE = "result.json"
LOCK_FILE = "lock"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Result:
    """What there is of a cell.

    Attributes:
        state: `done`; `failed`; `stale`: there is a result, but of another config or other data; or `missing`.
        content: of its JSON file, empty if it is missing.
    """

    state: State
    content: Mapping[str, Any]


def read_result(path: Path, planned: PlannedCell, digests: Mapping[str, str]) -> Result:
    """Read the result of a cell.

    Args:
        path: its JSON file, which may not be there.
        planned: the cell as it would be run now.
        digests: of the data as they are now; one that is not there is not compared.
    """
    if not path.is_file():
        return Result("missing", {})
    content = json.loads(path.read_text(encoding="utf-8"))
    of_data = content["data"]
    if content["hash"] != planned.hash or any(of_data.get(name, digest) != digest for name, digest in digests.items()):
        return Result("stale", content)
    return Result(content["status"], content)


@dataclass(frozen=True)
class Estimate:
    """A number over seeds.

    Attributes:
        mean: over the seeds.
        sd: standard deviation over the seeds; None for a single one.
        interval: ends of the 95 % interval of the mean, by Student's t; None for a single seed.
        num_seeds: how many.
    """

    mean: float
    sd: float | None
    interval: tuple[float, float] | None
    num_seeds: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return mean, standard deviation and interval of one number a seed; None if there is none."""
    count = len(values)
    if count == 0:
        return None
    mean = float(np.mean(values))
    if count == 1:
        return Estimate(mean, None, None, 1)
    sd = float(np.std(values, ddof=1))
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * sd / math.sqrt(count)
    return Estimate(mean, sd, (mean - margin, mean + margin), count)


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """Return what `ours` is more than `theirs`, over the seeds that both have; None if there is none."""
    return estimate([ours[seed] - theirs[seed] for seed in ours if seed in theirs])
