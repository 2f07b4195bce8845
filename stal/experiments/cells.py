"""The cells of an experiment: which trainings there are, and whether a result is one of theirs."""

import fnmatch
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from stal.engine.config import describe_config, load_config, with_options
from stal.errors import ConfigError
from stal.experiments.spec import Experiment, Options


@dataclass(frozen=True)
class Cell:
    """One training: a mixer, a penalty and a seed."""

    mixer: str
    penalty: str
    seed: int

    def __str__(self) -> str:
        return f"{self.mixer}/{self.penalty}/{self.seed}"

    def folder(self, work_dir: Path) -> Path:
        """Return where everything that belongs to it is written."""
        return work_dir / self.mixer / self.penalty / f"seed_{self.seed}"


@dataclass(frozen=True)
class PlannedCell:
    """A cell with all that was chosen for it; the code, and so what it sets by default, is noted beside its result.

    Attributes:
        cell: the cell.
        options: what it changes in the base config; folders of data are still `{name}`.
        recipe: the resolved config, the data, the sets and the one for the gradients, as plain values.
    """

    cell: Cell
    options: Options
    recipe: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """Tells recipes apart; a result with another one is not of this cell any more."""
        text = json.dumps(self.recipe, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_cells(experiment: Experiment, only: Sequence[str] = ()) -> list[PlannedCell]:
    """Return the cells of all grids, each once.

    Args:
        experiment: says which.
        only: patterns such as `BatchMix/*` or `*/pgg/0`, of which a cell must match one; none for all cells.

    Raises:
        ConfigError: the config cannot be read, an option does not fit it, or no cell matches a pattern.
    """
    cells = list(
        dict.fromkeys(
            Cell(mixer, penalty, seed)
            for grid in experiment.grids
            for mixer in grid.mixers
            for penalty in grid.penalties
            for seed in grid.seeds
        )
    )
    for pattern in only:
        if not fnmatch.filter(map(str, cells), pattern):
            raise ConfigError(
                f"--only {pattern}: no cell matches; cells are named MIXER/PENALTY/SEED, such as {cells[0]}, and * "
                "stands for anything"
            )
    base = load_config(experiment.config)
    chosen = [cell for cell in cells if not only or any(fnmatch.fnmatchcase(str(cell), pattern) for pattern in only)]
    return [_plan(experiment, cell, base) for cell in chosen]


def _plan(experiment: Experiment, cell: Cell, base: Config) -> PlannedCell:
    parts = {
        "options": experiment.options,
        f"mixers.{cell.mixer}": experiment.mixers[cell.mixer],
        f"penalties.{cell.penalty}": experiment.penalties[cell.penalty],
        "seeds": {"randomness.seed": cell.seed},
    }
    options: dict[str, Any] = {}
    setter: dict[str, str] = {}
    for place, part in parts.items():
        for key, value in part.items():
            if key in options and place == "seeds":
                raise ConfigError(f"{experiment.path}: {setter[key]}: {key} is set by `seeds` of the grids; remove it")
            if key in options and setter[key] != "options":  # which all may change
                raise ConfigError(f"{experiment.path}: cell {cell}: both {setter[key]} and {place} set {key}")
            options[key], setter[key] = value, place
    try:
        config = with_options(base, options)
    except ConfigError as error:
        raise ConfigError(f"{experiment.path}: cell {cell}: {error}") from error
    recipe = {
        "config": describe_config(config),
        "data": {made.name: list(made.command) for made in experiment.data},
        "sets": dict(experiment.sets),
        "gradient_set": experiment.gradient_set,
    }
    return PlannedCell(cell, options, recipe)
