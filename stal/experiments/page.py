"""The page of an experiment: how it was measured, its tables and plots, and what is missing."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import stal
from stal.data.formats.whole_file import open_whole
from stal.experiments.cells import Cell
from stal.experiments.plots import gradient_plot_metric, plot_gradient_energy, plot_robustness
from stal.experiments.results import Result
from stal.experiments.spec import Experiment, Grid, Options
from stal.experiments.tables import (
    OTHER_CODE,
    Results,
    code_of,
    detail_table,
    difference_table,
    grid_table,
    inside_share,
    other_table,
    set_measure,
)
from stal.visualize.plot_style import save_figure

_READING = """\
Numbers are means over seeds ± one standard deviation (with n - 1); a number alone is of one seed, which has none. The
seed decides weights, order, augmentation, mixing and the chance in penalties; the data are the same for all. A
difference is paired: taken seed by seed, and then the mean, in brackets its 95 % interval by Student's t, and the
number of seeds. The intervals say how much is owed to the seed, not to the choice of videos, and they are not corrected
for their number: of twenty without any true difference, about one leaves out 0."""


def write_page(experiment: Experiment, results: Results, path: Path) -> None:
    """Write the page and, beside it, its plots.

    Args:
        experiment: what was to be run.
        results: of every cell.
        path: the Markdown file.
    """
    lines = [*_head(experiment, results), *_how(experiment, results)]
    for grid in experiment.grids:
        lines += [*_grid(experiment, grid, results), *_plots(experiment, grid, results, path)]
    lines += _missing(results)
    with open_whole(path) as file:
        file.write("\n".join(lines).rstrip().encode() + b"\n")


def _head(experiment: Experiment, results: Results) -> list[str]:
    states = Counter(result.state for result in results.values())
    counts = f"{states['done']} of {len(results)} cells are measured"
    counts += f", {states['failed']} failed" if states["failed"] else ""
    command = f"python tools/experiment.py {_path_in_project(experiment.path)}"
    return [
        f"<!-- Made by `{command}`. Do not edit: the next run replaces it. -->",
        "",
        f"# {experiment.title}",
        "",
        f"*Made by `{command}`, never edited by hand; {counts}.*",
        "",
        *([experiment.about, ""] if experiment.about else []),
    ]


def _path_in_project(path: Path) -> str:
    """Return a path as it is called from the root of the project, or as it was given if it is elsewhere."""
    root, resolved = Path(stal.__file__).parents[1], path.resolve()
    return (resolved.relative_to(root) if resolved.is_relative_to(root) else path).as_posix()


def _how(experiment: Experiment, results: Results) -> list[str]:
    """Return how the numbers came about, as the results themselves say it."""
    done = [result.content for result in results.values() if result.state == "done"]
    options = ", ".join(f"`{key}={json.dumps(value)}`" for key, value in experiment.options.items())
    lines = [f"- config: `{experiment.config}`" + (f" with {options}" if options else "")]
    lines += [f"- data `{{{made.name}}}`: `{shlex.join(['python', *made.command])}`" for made in experiment.data]
    sets = (f"`{name}`" + (f" ({given})" if given != name else "") for name, given in experiment.sets.items())
    lines += [f"- sets: {', '.join(sets)}; numbers are {experiment.metric} in percent, where no other is named"]
    lines += [f"- mixer {text}" for text in _settings(experiment.mixers)]
    lines += [f"- penalty {text}" for text in _settings(experiment.penalties)]
    lines += [f"- data digests: {text}" for text in _different(done, "data")]
    commits = Counter(content["commit"][:10] + (" with changes" if content["dirty"] else "") for content in done)
    lines += ["- commits: " + ", ".join(f"{commit} ({count} cells)" for commit, count in commits.items())] * bool(done)
    codes = Counter(code_of(result) for result in results.values() if result.state == "done")
    lines += ["- code: " + ", ".join(f"{code} ({count} cells)" for code, count in codes.items())] * bool(done)
    lines += [f"- machine: {text}" for text in _different(done, "machine")]
    lines += [f"- versions: {text}" for text in _different(done, "versions")]
    threads = sorted({content["num_threads"] for content in done})
    lines += [f"- threads of a training: {', '.join(map(str, threads))}"] * bool(done)
    shares = [content["gradient_share"] for content in done if content["gradient_share"] is not None]
    if shares:
        actors = sorted({share["num_actors"] for share in shares})
        lines += [
            f"- gradient energy in the actor: of the actor's own logit, in its annotated box, mean of "
            f"{', '.join(map(str, actors))} actors of `{experiment.gradient_set}`; the box has "
            f"{100 * shares[0]['volume_share']:.1f} % of the clip's voxels"
        ]
    return ["## How it was measured", "", *lines, "", _READING, ""]


def _settings(of_names: Mapping[str, Options]) -> list[str]:
    """Return the name of every mixer or penalty, and what it sets in the config."""
    set_by = {
        name: ", ".join(f"`{key}={json.dumps(value)}`" for key, value in options.items() if value is not None)
        for name, options in of_names.items()
    }
    return [f"`{name}`: {text or 'nothing'}" for name, text in set_by.items()]


def _different(contents: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Return what results say under a key, each different answer once."""
    return list(
        dict.fromkeys(", ".join(f"{name} {value}" for name, value in c[key].items()) for c in contents if c[key])
    )


def _grid(experiment: Experiment, grid: Grid, results: Results) -> list[str]:
    seeds = "one seed" if len(grid.seeds) == 1 else f"{len(grid.seeds)} seeds"
    lines = [f"## {grid.title}", "", f"{seeds} ({', '.join(map(str, grid.seeds))}). {grid.about}".rstrip(), ""]
    if grid.compare_to:
        for metric in experiment.metrics:
            lines += [f"### {metric}", "", *detail_table(grid, results, experiment, metric), ""]
        differences = difference_table(grid, results, experiment)
        note = [f"{OTHER_CODE}: the two sides were measured with different code.", ""]
        lines += [f"### Differences in {experiment.metric}", "", *differences, ""]
        return lines + note * any(OTHER_CODE in line for line in differences)
    for name in experiment.sets:
        lines += [f"### {name}", "", *grid_table(grid, results, set_measure(name, experiment.metric)), ""]
    if experiment.gradient_set is not None:
        lines += ["### Gradient energy in the actor, percent", "", *grid_table(grid, results, inside_share), ""]
    summary = ", ".join([*experiment.metrics[1:], "time of training"])
    others = other_table(grid, results, experiment)
    return [*lines, f"<details><summary>{summary}</summary>", "", *others, "", "</details>", ""]


def _plots(experiment: Experiment, grid: Grid, results: Results, page: Path) -> list[str]:
    """Write the plots of a grid beside the page, and return the lines that show them."""
    robustness = (
        f"{experiment.metric}, {experiment.shifted} over {experiment.iid}: on the dotted line, nothing is lost with "
        "the scene"
    )
    gradient_energy = (
        f"{gradient_plot_metric(experiment)} of {experiment.shifted} over the share of the input gradient's energy "
        "inside the actor"
    )
    plots = {"robustness": (robustness, plot_robustness(experiment, grid, results))}
    if experiment.gradient_set is not None:
        plots["gradient_energy"] = (gradient_energy, plot_gradient_energy(experiment, grid, results))
    title = re.sub(r"\W+", "_", grid.title.lower())
    lines = []
    for name, (caption, figure) in plots.items():
        file = page.with_name(f"{page.stem}_{title}_{name}.png")
        save_figure(figure, file)
        lines += [f"![{caption}]({file.name})", ""]
    return lines


def _missing(results: Results) -> list[str]:
    """Return what is not on the page, and why."""
    of_state = {
        state: [(cell, result) for cell, result in results.items() if result.state == state]
        for state in ("failed", "stale", "missing")
    }
    lines = []
    if of_state["failed"]:
        lines += ["## Failed", "", *(f"- `{cell}`: {_one_line(result)}" for cell, result in of_state["failed"]), ""]
    if of_state["stale"]:
        lines += ["## Left out", "", "Measured with another config or other data, and to be measured again:", ""]
        lines += [_names(of_state["stale"]), ""]
    if of_state["missing"]:
        lines += ["## Not yet measured", "", _names(of_state["missing"]), ""]
    return lines


def _names(cells: list[tuple[Cell, Result]]) -> str:
    return ", ".join(f"`{cell}`" for cell, _ in cells)


def _one_line(result: Result) -> str:
    return " ".join(result.content["error"].split())
