"""An experiment from its file to its page, with trainings of a few steps."""

import json
from pathlib import Path

import pytest

from stal.errors import ConfigError
from stal.experiments.run import Places, _describe_failure, print_plan, run_experiment
from stal.experiments.spec import read_experiment

ROOT = Path(__file__).parents[2]
PENALTIES = {  # the second is refused when its training begins
    "none": None,
    "broken": {"penalty": None, "options": {"train_dataloader.batch_size": 1000}},
}
CHANGES = {
    "data": {
        "tiny": f"{ROOT}/tools/make_scenes.py {{out}} --videos 8 --size 96x72 --jobs 1 --splits train iid shifted"
    },
    "options": {
        "data.path": "{tiny}/annotations.json",
        "train_cfg.max_epochs": 1,
        "model.detector.num_samples": 1,
    },
    "mixers": {"none": None},
    "grids": [{"title": "All", "mixers": "all", "penalties": "all", "seeds": 1}],
}


@pytest.fixture
def places(tmp_path) -> Places:
    return Places(tmp_path / "work", tmp_path / "data", tmp_path / "docs" / "example.md")


@pytest.mark.slow
def test_cells_run_and_fail_and_are_run_again_only_if_they_must(write, places, capfd):
    """One test, since it shares its trainings."""
    experiment = read_experiment(write(**CHANGES, penalties=PENALTIES))
    assert not run_experiment(experiment, places, num_processes=2)
    folder = places.work_dir / "none" / "none" / "seed_0"
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "done"
    assert set(result["metrics"]) == {"iid", "shifted"}
    assert {"actor_accuracy", "frame_mAP@0.5"} <= set(result["metrics"]["iid"])
    assert 0 < result["gradient_share"]["inside_share"] < 1
    assert result["num_threads"] == 1
    assert set(result["cpu_seconds"]) == {"train", "test", "gradients"}
    assert json.loads((folder / "recipe.json").read_text())["config"]["train_cfg"]["max_epochs"] == 1
    assert not list(folder.glob("*.pth"))

    failed = json.loads((places.work_dir / "none" / "broken" / "seed_0" / "result.json").read_text())
    assert failed["status"] == "failed"
    assert "ConfigError" in failed["error"] and "1000" in failed["error"]
    page = places.page.read_text()
    assert "- `none/broken/0`: " in page and "1000" in page

    written = (folder / "result.json").stat().st_mtime_ns
    assert not run_experiment(experiment, places)  # the failed one is tried again
    assert (folder / "result.json").stat().st_mtime_ns == written
    assert "1 are done, 1 to run" in capfd.readouterr().out

    print_plan(read_experiment(write(**CHANGES, penalties={"none": None})), places)
    assert "done    none/none/0" in capfd.readouterr().out
    longer = {**CHANGES, "options": {**CHANGES["options"], "train_cfg.max_epochs": 2}}
    print_plan(read_experiment(write(**longer, penalties={"none": None})), places)
    assert "stale   none/none/0" in capfd.readouterr().out


def test_what_a_component_refuses_is_said_before_anything_is_made(read, places):
    penalties = {"bad": {"type": "stal.losses.gradient_penalty.GradientPenalty", "weight": 1, "wait": 2}}
    with pytest.raises(ConfigError, match=r"cell none/bad/0: model\.penalty: GradientPenalty: .*'wait'"):
        run_experiment(read(**CHANGES, penalties=penalties), places)
    assert not places.work_dir.exists() and not places.data_dir.exists()


def test_there_is_at_least_one_process(read, places):
    with pytest.raises(ConfigError, match="--jobs 0"):
        run_experiment(read(**CHANGES), places, num_processes=0)


@pytest.mark.parametrize(
    ("log", "exit_code", "said"),
    [
        ("a\nTraceback ...\nstal.errors.ConfigError: wrong\n", 1, "stal.errors.ConfigError: wrong"),
        ("KeyError: 'a'\nduring ...\nValueError: b\nand more\n", 1, "ValueError: b"),
        ("nothing\n", 3, "the process ended with exit code 3"),
        ("ValueError: of another thing\n", -9, "the process was ended by SIGKILL"),
    ],
)
def test_why_a_cell_failed_is_the_last_error_of_its_log(tmp_path, log, exit_code, said):
    path = tmp_path / "log.txt"
    path.write_text(log)
    assert _describe_failure(path, exit_code) == said
