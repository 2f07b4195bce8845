"""Run an experiment: make its data, run the cells that have no valid result, and write its page."""

import contextlib
import json
import re
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stal.engine.build import build
from stal.engine.config import load_config
from stal.engine.faults.lock import locked
from stal.engine.tested_sets import read_tested_sets
from stal.errors import ConfigError, StalError
from stal.evaluation.origin import describe_origin
from stal.evaluation.report import print_note
from stal.experiments.cells import Cell, PlannedCell, plan_cells
from stal.experiments.data_sets import data_digests, data_folders, make_data
from stal.experiments.fresh_processes import run_in_fresh_processes
from stal.experiments.one_cell import HEADLINES, CellJob, run_cell, write_whole
from stal.experiments.page import write_page
from stal.experiments.results import LOCK_FILE, RESULT_FILE, Result, read_result
from stal.experiments.spec import Experiment
from stal.experiments.tables import UNDEFINED

_RAISED = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class Places:
    """Where an experiment reads and writes.

    Attributes:
        work_dir: results, logs and recipes of the cells.
        data_dir: data sets that are made.
        page: the Markdown file; its plots lie beside it.
    """

    work_dir: Path
    data_dir: Path
    page: Path


def run_experiment(
    experiment: Experiment, places: Places, *, only: Sequence[str] = (), num_processes: int = 1, keep: bool = False
) -> bool:
    """Run the cells that have no valid result, write the page, and return whether none of them failed.

    Interrupted, it goes on with the cells that are left when it is called again; failed cells are tried again.

    Args:
        experiment: what to run.
        places: where.
        only: patterns that choose cells; none for all.
        num_processes: how many cells run at once, each on one thread.
        keep: keep the checkpoints.

    Raises:
        StalError: the experiment cannot be run as it is written, or its data cannot be made.
    """
    if num_processes < 1:
        raise ConfigError(f"--jobs {num_processes}: at least 1 works")
    _check_metrics(experiment)
    planned = plan_cells(experiment, only)
    _check_components(planned)
    with locked(places.work_dir / LOCK_FILE, f"the experiment in {places.work_dir}"):
        return _run_locked(experiment, places, planned, num_processes, keep)


def _run_locked(
    experiment: Experiment, places: Places, planned: Sequence[PlannedCell], num_processes: int, keep: bool
) -> bool:
    """Run cells that no other process runs."""
    folders = make_data(experiment.data, places.data_dir)
    digests = data_digests(folders, experiment.sets)
    origin = describe_origin()  # right before the cells' server imports the code
    results = _read_results(planned, places, digests)
    todo = [
        CellJob(
            folder=plan.cell.folder(places.work_dir),
            config=experiment.config,
            options=plan.options,
            sets=experiment.sets,
            folders=folders,
            gradient_set=experiment.gradient_set,
            recipe=plan.recipe,
            known={"cell": str(plan.cell), "hash": plan.hash, "data": digests, **origin},
            keep_checkpoint=keep,
        )
        for plan in planned
        if results[plan.cell].state != "done"
    ]
    print_note(f"{len(planned)} cells: {len(planned) - len(todo)} are done, {len(todo)} to run; {places.work_dir}")
    if todo:
        _check_sets(todo[0], experiment)
    num_failed = _run_all(todo, num_processes, experiment)
    _write_page(experiment, places, digests)
    return num_failed == 0


def make_page(experiment: Experiment, places: Places) -> None:
    """Write the page from the results that there are."""
    _check_metrics(experiment)
    _write_page(experiment, places, _digests(experiment, places))


def _write_page(experiment: Experiment, places: Places, digests: Mapping[str, str]) -> None:
    results = _read_results(plan_cells(experiment), places, digests)
    write_page(experiment, results, places.page)
    print_note(f"page: {places.page}")


def print_plan(experiment: Experiment, places: Places, *, only: Sequence[str] = (), num_processes: int = 1) -> None:
    """Print which cells there are, which of them would run, and how long that would take."""
    _check_metrics(experiment)
    planned = plan_cells(experiment, only)
    _check_components(planned)
    results = _read_results(planned, places, _digests(experiment, places))
    for cell, result in results.items():
        print_note(f"{result.state:8}{cell}")
    counts = Counter(result.state for result in results.values())
    print_note(f"{len(planned)} cells: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    seconds = [_seconds(result.content) for result in results.values() if result.content.get("status") == "done"]
    num_left = len(planned) - counts["done"]
    if seconds and num_left:
        hours = num_left * sum(seconds) / len(seconds) / num_processes / 3600
        print_note(f"about {hours:.1f} hours for the {num_left} to run, with --jobs {num_processes}")


def _digests(experiment: Experiment, places: Places) -> dict[str, str]:
    return data_digests(data_folders(experiment.data, places.data_dir), experiment.sets)


def _read_results(planned: Sequence[PlannedCell], places: Places, digests: Mapping[str, str]) -> dict[Cell, Result]:
    return {plan.cell: read_result(plan.cell.folder(places.work_dir) / RESULT_FILE, plan, digests) for plan in planned}


def _check_components(planned: Sequence[PlannedCell]) -> None:
    """Build every mixer, penalty and mask source once: what they refuse is said before the first training."""
    checked: list[tuple[str, Any]] = []
    for plan in planned:
        for key, value in plan.options.items():
            if isinstance(value, dict) and "type" in value and (key, value) not in checked:
                checked.append((key, value))
                try:
                    build(value, key)
                except ConfigError as error:
                    raise ConfigError(f"cell {plan.cell}: {error}") from error


def _check_metrics(experiment: Experiment) -> None:
    """Raise if a metric is none that a test gives."""
    for metric in experiment.metrics:
        if metric not in HEADLINES:
            raise ConfigError(f"{experiment.path}: metrics: there is no {metric!r}; there are {', '.join(HEADLINES)}")


def _check_sets(job: CellJob, experiment: Experiment) -> None:
    """Read the sets that are tested: what is wrong with them is said before the first training."""
    try:
        read_tested_sets(load_config(job.config, job.filled_options), list(job.filled_sets.values()))
    except StalError as error:
        raise ConfigError(f"{experiment.path}: sets: {error}") from error


def _modules(value: Any) -> set[str]:
    """Return the modules of the components in a described config."""
    if isinstance(value, list):
        return set().union(*map(_modules, value))
    if not isinstance(value, dict):
        return set()
    module = str(value.get("type", "")).rpartition(".")[0]
    return set().union(*map(_modules, value.values())) | ({module} if module else set())


def _run_all(todo: Sequence[CellJob], num_processes: int, experiment: Experiment) -> int:
    """Run cells, show how far that has come, write down which failed, and return how many."""
    console = Console(stderr=True)
    columns = (TextColumn("cells"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    num_failed = 0
    modules = sorted(_modules([job.recipe["config"] for job in todo]))
    with (
        Progress(*columns, console=console, disable=not console.is_terminal, speed_estimate_period=3600) as progress,
        contextlib.closing(
            run_in_fresh_processes(run_cell, todo, num_processes, log_of=lambda job: job.log, preload=modules)
        ) as ended,
    ):
        bar = progress.add_task("cells", total=len(todo))
        for number, (job, exit_code) in enumerate(ended, start=1):
            if exit_code:
                num_failed += 1
                error = _describe_failure(job.log, exit_code)
                write_whole(job.result, {**job.known, "status": "failed", "error": error, "log": str(job.log)})
            line = f"[{number}/{len(todo)}] {_describe_result(job, experiment)}"
            progress.console.print(line, highlight=False, markup=False, soft_wrap=True)
            progress.advance(bar)
    return num_failed


def _describe_failure(log: Path, exit_code: int) -> str:
    """Return why a process ended: the signal, or the last error that it printed."""
    if exit_code < 0:
        return f"the process was ended by {signal.Signals(-exit_code).name}"
    raised = _RAISED.findall(log.read_text(encoding="utf-8", errors="replace"))
    return raised[-1] if raised else f"the process ended with exit code {exit_code}"


def _describe_result(job: CellJob, experiment: Experiment) -> str:
    """Return what came of a cell, in a line."""
    content = json.loads(job.result.read_text(encoding="utf-8"))
    if content["status"] == "failed":
        return f"{content['cell']}: failed: {content['error']}; {job.log}"
    numbers = {name: metrics[experiment.metric] for name, metrics in content["metrics"].items()}
    values = ", ".join(f"{name} {UNDEFINED if x is None else f'{x:.1f}'}" for name, x in numbers.items())
    return f"{content['cell']}: {values} ({_seconds(content):.0f} s)"


def _seconds(content: Mapping[str, Any]) -> float:
    """Return how long a cell took."""
    return sum(content["seconds"].values())
