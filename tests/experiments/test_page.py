"""The page, from results that no training made."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from stal.experiments.cells import Cell
from stal.experiments.page import write_page
from stal.experiments.plots import plot_gradient_energy, plot_robustness
from stal.experiments.results import Result

GRIDS = [
    {"title": "All", "about": "Each of them.", "mixers": "all", "penalties": ["none", "pgg"], "seeds": 2},
    {"title": "Main", "mixers": "all", "penalties": ["none", "pgg"], "seeds": 2, "compare_to": ["none"]},
]


@pytest.fixture
def page(read, results, tmp_path) -> str:
    write_page(read(grids=GRIDS, about="What this is."), results, tmp_path / "docs" / "example.md")
    return (tmp_path / "docs" / "example.md").read_text()


def test_it_begins_with_the_command_that_made_it(page):
    first, _, title = page.splitlines()[:3]
    assert first.startswith("<!-- Made by `python tools/experiment.py ")
    assert "example.yaml`. Do not edit" in first
    assert title == "# Example"
    assert "5 of 8 cells are measured, 1 failed" in page
    assert "What this is." in page


def test_it_says_how_it_was_measured(page):
    for text in (
        "scenes_small_plain.py` with `data.path=",
        "python tools/make_scenes.py '{out}' --videos 8",
        "sets: `iid`, `shifted`; numbers are actor_accuracy",
        '`BatchMix`: `model.data_preprocessor.mixer={"type": "stal.mixing.batch_mix.BatchMix", "probability": 0.5}`',
        "penalty `none`: nothing",
        "commits: 0123456789 (5 cells)",
        "machine: num_cores 2",
        "threads of a training: 1",
        "64 actors of `iid`; the box has 12.5 %",
    ):
        assert text in page


def test_cells_have_mean_and_deviation_or_say_what_is_missing(page):
    iid, shifted = page.split("### iid")[1].split("###")[:2]
    assert "| none | 91.0 ± 1.4 | 91.0 ± 0.0 |" in iid
    assert "| none | 52.0 ± 2.8 | 61.0 ± 1.4 |" in shifted
    assert "| BatchMix | 80.0 (n = 1, 1 of 2 failed) | not yet measured |" in iid


def test_details_have_every_metric_and_the_training(page):
    details = page.split("## Main")[1]
    row = "| none | none | 91.0 ± 1.4 | 52.0 ± 2.8 | 71.5 ± 2.1 | 50.0 ± 0.0 | 40.0 ± 0.0 |"
    assert row in details.split("### frame_mAP@0.5")[0]
    assert "| none | none | 90.0 ± 1.4 | 51.0 ± 2.8 |" in details.split("### frame_mAP@0.5")[1]


def test_differences_are_paired_and_have_intervals(page):
    # iid: +1 and -1; shifted: +10 and +8, so 9 and t = 12.706 times sqrt(2) / sqrt(2)
    assert "| none | pgg - none | +0.0 [-12.7, +12.7] (n = 2) | +9.0 [-3.7, +21.7] (n = 2) |" in page
    assert "| BatchMix | pgg - none | not yet measured | not yet measured |" in page


def test_a_comparison_of_two_stands_there_once(read, results, tmp_path):
    grid = {**GRIDS[1], "compare_to": ["none", "pgg"]}
    write_page(read(grids=[grid]), results, tmp_path / "example.md")
    page = (tmp_path / "example.md").read_text()
    assert ("pgg - none" in page) != ("none - pgg" in page)


def test_what_failed_what_is_stale_and_what_is_missing_is_listed(page):
    assert "## Failed\n\n- `BatchMix/none/1`: stal.errors.PenaltyError: it is wrong\n" in page
    assert "## Left out" in page and "`BatchMix/pgg/0`" in page.split("## Left out")[1]
    assert "## Not yet measured\n\n`BatchMix/pgg/1`\n" in page


def test_a_grid_without_comparison_has_the_other_metrics_and_the_training_folded_up(page):
    folded = page.split("<details>")[1].split("</details>")[0]
    assert folded.startswith("<summary>frame_mAP@0.5, time of training</summary>\n\n| mixer | penalty |")
    assert "| frame_mAP@0.5, iid | frame_mAP@0.5, shifted | training, CPU s |" in folded
    assert "| none | none | 90.0 ± 1.4 | 51.0 ± 2.8 | 40.0 ± 0.0 |" in folded
    assert page.count("<details>") == 1


def test_the_command_names_the_file_from_the_root_of_the_project(read, results, tmp_path, monkeypatch):
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root / "experiments")
    experiment = replace(read(grids=GRIDS), path=Path("scenes.yaml"))
    write_page(experiment, results, tmp_path / "example.md")
    assert "`python tools/experiment.py experiments/scenes.yaml`" in (tmp_path / "example.md").read_text()


@pytest.mark.parametrize(
    ("metrics", "named"),
    [(["actor_accuracy", "frame_mAP@0.5"], "frame_mAP@0.5"), (["actor_accuracy"], "actor_accuracy")],
)
def test_the_plot_of_the_gradients_is_of_frames_where_they_are_measured(read, results, metrics, named):
    experiment = read(grids=GRIDS, metrics=metrics)
    axes = plot_gradient_energy(experiment, experiment.grids[0], results).axes[0]
    assert axes.get_ylabel() == f"shifted, {named}"


def test_a_page_is_silent_on_gradients_that_nobody_looked_at(read, results, tmp_path):
    experiment = read(grids=GRIDS, gradients=None)
    without = {
        cell: replace(result, content={**result.content, "gradient_share": None}) for cell, result in results.items()
    }
    write_page(experiment, without, tmp_path / "example.md")
    assert "radient energy" not in (tmp_path / "example.md").read_text()
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "example_all_robustness.png",
        "example_main_robustness.png",
    ]


def test_points_of_one_seed_say_so(read, results):
    experiment = read(grids=GRIDS)
    (axes,) = plot_robustness(experiment, experiment.grids[0], results).axes
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("1", (80.0, 70.0))]


def test_plots_lie_beside_it(page, tmp_path):
    for title, name in product(("all", "main"), ("robustness", "gradient_energy")):
        assert page.count(f"(example_{title}_{name}.png)") == 1
        assert (tmp_path / "docs" / f"example_{title}_{name}.png").stat().st_size > 1000


def test_a_plot_names_the_mixers_and_penalties_of_its_grid_alone(read, results):
    experiment = read(grids=GRIDS)
    for grid in experiment.grids:
        figure = plot_robustness(experiment, grid, results)
        named = [tuple(text.get_text() for text in legend.get_texts()) for legend in figure.legends]
        assert named == [grid.penalties, grid.mixers]


@pytest.mark.parametrize("of_sets", [{}, {"worst_group_accuracy": None}])
def test_a_metric_that_is_not_defined_is_a_dash(read, results, tmp_path, of_sets):
    def without(result: Result) -> Result:
        sets = {name: {**of_set, **of_sets} for name, of_set in result.content["metrics"].items()}
        return Result(result.state, {**result.content, "metrics": sets})

    results = {cell: without(result) if result.state == "done" else result for cell, result in results.items()}
    write_page(read(grids=GRIDS[1:], metrics=["worst_group_accuracy"]), results, tmp_path / "example.md")
    page = (tmp_path / "example.md").read_text()
    assert "| none | none | - | - | - | 50.0 ± 0.0 |" in page
    assert "| none | pgg - none | - | - | - |" in page
    assert "| BatchMix | pgg - none | not yet measured |" in page


def test_a_difference_of_two_codes_is_marked(read, results, tmp_path):
    for cell in (Cell("none", "pgg", 0), Cell("none", "pgg", 1), Cell("BatchMix", "none", 0)):
        results[cell] = Result("done", {**results[cell].content, "code": "fedc"})
    write_page(read(grids=GRIDS), results, tmp_path / "example.md")
    page = (tmp_path / "example.md").read_text()
    assert "code: abcd (2 cells), fedc (3 cells)" in page
    assert "| none | pgg - none † |" in page and "| BatchMix | pgg - none |" in page
    assert "†: the two sides were measured with different code." in page


def test_differences_of_one_code_are_not_marked(page):
    assert "†" not in page and "code: abcd (5 cells)" in page


def test_before_anything_is_measured_there_is_a_page_too(read, tmp_path):
    results = {Cell("none", "none", 0): Result("missing", {})}
    write_page(read(grids=GRIDS), results, tmp_path / "example.md")
    page = (tmp_path / "example.md").read_text()
    assert "0 of 1 cells are measured" in page
    assert "| none | not yet measured | not yet measured |" in page


def test_changed_code_is_said(read, results, tmp_path):
    cell = Cell("none", "none", 0)
    changed = Result("done", {**results[cell].content, "dirty": True})
    write_page(read(grids=GRIDS), {**results, cell: changed}, tmp_path / "example.md")
    assert "0123456789 with changes (1 cells), 0123456789 (4 cells)" in (tmp_path / "example.md").read_text()
