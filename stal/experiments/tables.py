"""Tables of the results, in Markdown: means and standard deviations over seeds, and paired differences."""

from collections.abc import Callable, Mapping, Sequence

from stal.experiments.cells import Cell
from stal.experiments.results import Estimate, Result, estimate, paired_difference
from stal.experiments.spec import Experiment, Grid

Results = Mapping[Cell, Result]
Measure = Callable[[Result], float | None]

NOT_MEASURED = "not yet measured"
UNDEFINED = "-"  # measured, but of nothing: a mean over scenes where there are none
OTHER_CODE = "†"


def set_measure(set_name: str, metric: str) -> Measure:
    """Return what gives the metric of a set; None where it is not defined."""
    return lambda result: result.content["metrics"][set_name].get(metric)


def inside_share(result: Result) -> float | None:
    """Return the share of the gradient's energy inside the actors, in percent; None where nobody looked."""
    share = result.content["gradient_share"]
    return None if share is None else 100 * share["inside_share"]


def train_seconds(result: Result) -> float:
    """Return how long the training kept its thread busy: on a shared machine, steadier than how long it took."""
    return result.content["cpu_seconds"]["train"]


def values_of(results: Results, mixer: str, penalty: str, seeds: Sequence[int], measure: Measure) -> dict[int, float]:
    """Return a number of every seed of a mixer and a penalty that is done and for which it is defined."""
    values = {seed: measure(result) for seed, result in _done(results, mixer, penalty, seeds).items()}
    return {seed: value for seed, value in values.items() if value is not None}


def code_of(result: Result) -> str:
    """Return the digest of the code that a result was measured with."""
    return result.content.get("code", "not recorded")


def grid_table(grid: Grid, results: Results, measure: Measure) -> list[str]:
    """Return the table of one number: a row a mixer, a column a penalty."""
    rows = [
        [mixer, *(_cell_text(grid, results, mixer, penalty, measure) for penalty in grid.penalties)]
        for mixer in grid.mixers
    ]
    return table(["mixer", *grid.penalties], rows)


def detail_table(grid: Grid, results: Results, experiment: Experiment, metric: str) -> list[str]:
    """Return a row for every mixer and penalty, with a number of every set and of the training."""
    measures = {
        **_set_measures(experiment, metric),
        **({} if experiment.gradient_set is None else {"gradient energy in the actor, %": inside_share}),
        "training, CPU s": train_seconds,
    }
    return _cell_table(grid, results, measures)


def other_table(grid: Grid, results: Results, experiment: Experiment) -> list[str]:
    """Return a row for every mixer and penalty, with the metrics but the first of every set, and the training."""
    measures = {
        f"{metric}, {name}": set_measure(name, metric) for metric in experiment.metrics[1:] for name in experiment.sets
    }
    return _cell_table(grid, results, {**measures, "training, CPU s": train_seconds})


def difference_table(grid: Grid, results: Results, experiment: Experiment) -> list[str]:
    """Return what every penalty gains on those that it is compared with, under the same mixer, with intervals."""
    measures = _set_measures(experiment, experiment.metric)

    def difference(mixer: str, penalty: str, other: str, measure: Measure) -> str:
        ours, theirs = (values_of(results, mixer, name, grid.seeds, measure) for name in (penalty, other))
        value = paired_difference(ours, theirs)
        done = [_done(results, mixer, name, grid.seeds) for name in (penalty, other)]
        return UNDEFINED if value is None and done[0].keys() & done[1].keys() else difference_text(value)

    def label(mixer: str, penalty: str, other: str) -> str:
        ours, theirs = (_done(results, mixer, name, grid.seeds) for name in (penalty, other))
        same = all(code_of(ours[seed]) == code_of(theirs[seed]) for seed in ours.keys() & theirs.keys())
        return f"{penalty} - {other}" + ("" if same else f" {OTHER_CODE}")

    rows = [
        [mixer, label(mixer, penalty, other), *(difference(mixer, penalty, other, m) for m in measures.values())]
        for mixer in grid.mixers
        for penalty in grid.penalties
        for other in grid.compare_to
        if penalty != other and not _comes_earlier(grid, penalty, other)
    ]
    return table(["mixer", "difference", *measures], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; its first column is on the left, the others on the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return [f"| {' | '.join(text.replace('|', chr(92) + '|') for text in line)} |" for line in lines]


def estimate_text(value: Estimate | None) -> str:
    """Return a mean and its standard deviation; of one seed there is none."""
    if value is None:
        return NOT_MEASURED
    return f"{value.mean:.1f}" if value.sd is None else f"{value.mean:.1f} ± {value.sd:.1f}"


def difference_text(value: Estimate | None) -> str:
    """Return a difference with its interval and the number of seeds; of one seed there is no interval."""
    if value is None:
        return NOT_MEASURED
    if value.interval is None:
        return f"{value.mean:+.1f} (n = 1)"
    low, high = value.interval
    return f"{value.mean:+.1f} [{low:+.1f}, {high:+.1f}] (n = {value.num_seeds})"


def _cell_table(grid: Grid, results: Results, measures: Mapping[str, Measure]) -> list[str]:
    """Return a row for every mixer and penalty, and a column for every number."""
    rows = [
        [mixer, penalty, *(_cell_text(grid, results, mixer, penalty, measure) for measure in measures.values())]
        for mixer in grid.mixers
        for penalty in grid.penalties
    ]
    return table(["mixer", "penalty", *measures], rows)


def _cell_text(grid: Grid, results: Results, mixer: str, penalty: str, measure: Measure) -> str:
    """Return the number of a cell, and how many seeds it rests on if that is not all of them."""
    value = estimate(list(values_of(results, mixer, penalty, grid.seeds, measure).values()))
    of_cells = [results.get(Cell(mixer, penalty, seed)) for seed in grid.seeds]
    num_failed = sum(result is not None and result.state == "failed" for result in of_cells)
    notes = [f"n = {value.num_seeds}"] if value is not None and value.num_seeds < len(grid.seeds) else []
    notes += [f"{num_failed} of {len(grid.seeds)} failed"] if num_failed else []
    text = estimate_text(value)
    if value is None and _done(results, mixer, penalty, grid.seeds):
        text = UNDEFINED
    elif value is None and num_failed:
        return notes[-1]
    return f"{text} ({', '.join(notes)})" if notes else text


def _set_measures(experiment: Experiment, metric: str) -> dict[str, Measure]:
    """Return what gives a metric of every set, and its mean on the iid and the shifted set."""
    measures = {name: set_measure(name, metric) for name in experiment.sets}
    iid, shifted = measures[experiment.iid], measures[experiment.shifted]
    both = f"mean of {experiment.iid} and {experiment.shifted}"

    def mean(result: Result) -> float | None:
        values = [value for value in (iid(result), shifted(result)) if value is not None]
        return sum(values) / 2 if len(values) == 2 else None

    return {**measures, both: mean}


def _done(results: Results, mixer: str, penalty: str, seeds: Sequence[int]) -> dict[int, Result]:
    """Return the results of the seeds that are done."""
    of_seeds = {seed: results.get(Cell(mixer, penalty, seed)) for seed in seeds}
    return {seed: result for seed, result in of_seeds.items() if result is not None and result.state == "done"}


def _comes_earlier(grid: Grid, penalty: str, other: str) -> bool:
    """Whether the difference of two that are compared with each other stands there already, the other way round."""
    compared = grid.compare_to
    return penalty in compared and compared.index(penalty) < compared.index(other)
