"""The page, from results that no training made."""

import pytest

from stal.errors import ConfigError
from stal.experiments.cells import Cell
from stal.experiments.page import write_page
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


def test_plots_lie_beside_it(page, tmp_path):
    for name in ("robustness", "gradient_energy"):
        assert f"(example_{name}.png)" in page
        assert (tmp_path / "docs" / f"example_{name}.png").stat().st_size > 1000


def test_a_metric_that_was_not_measured_is_an_error_that_lists_those_that_were(read, results, tmp_path):
    with pytest.raises(ConfigError, match=r"metrics: none/none/0 has no 'accuracy'; it has actor_accuracy, frame_mAP"):
        write_page(read(grids=GRIDS, metrics=["accuracy"]), results, tmp_path / "example.md")


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
