"""An experiment from its file to its page, with trainings of a few steps."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stal.errors import ConfigError
from stal.experiments.run import Places, _describe_failure, _modules, make_page, print_plan, run_experiment
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


def test_a_metric_that_no_test_gives_is_said_before_anything_is_made(read, places):
    experiment = read(**CHANGES, metrics=["actor_accuracy", "accuracy"])
    for function in (run_experiment, print_plan, make_page):
        with pytest.raises(ConfigError, match=r"metrics: there is no 'accuracy'; there are actor_accuracy, "):
            function(experiment, places)
    assert not places.work_dir.exists() and not places.data_dir.exists()


def test_a_set_that_is_not_there_is_said_before_the_first_training(read, places, monkeypatch):
    monkeypatch.setattr("stal.experiments.run._run_all", lambda *_: pytest.fail("a training has begun"))
    tool = f"{ROOT}/tools/make_scenes.py {{out}} --videos 8 --size 96x72 --jobs 1 --splits train"
    with pytest.raises(ConfigError, match=r"example\.yaml: sets: .*no video has split 'iid'"):
        run_experiment(read(**{**CHANGES, "data": {"tiny": tool}}), places)


def test_the_modules_of_all_components_are_imported_beforehand():
    config = {"a": {"type": "x.y.Z", "inner": [{"type": "u.V"}, {"type": "Adam"}, 3]}, "b": None}
    assert _modules([config]) == {"x.y", "u"}


FAKE_CELLS = """
import json, os, sys, time

def run_cell(job):
    job.result.parent.mkdir(parents=True, exist_ok=True)
    (job.folder / "pid").write_text(str(os.getpid()))
    if job.folder.name == "seed_1" and not os.environ.get("FAST"):
        time.sleep(600)
    numbers = {name: {"actor_accuracy": 1.0, "frame_mAP@0.5": None} for name in job.sets}
    share = {"inside_share": 0.5, "volume_share": 0.1, "num_actors": 1}
    times = {"train": 1.0}
    job.result.write_text(json.dumps({
        **job.known, "status": "done", "metrics": numbers, "gradient_share": share,
        "seconds": times, "cpu_seconds": times, "num_threads": 1,
    }))
"""
RUNNER = """
import runpy, sys

if __name__ == "__main__":
    import fake_cells
    from stal.experiments import run

    run.run_cell, run._check_sets, run._modules = fake_cells.run_cell, lambda *_: None, lambda _: set()
    runpy.run_path({tool!r}, run_name="__main__")
"""


@pytest.mark.slow
def test_a_runner_that_is_terminated_ends_its_cells_and_goes_on_later(write, places, tmp_path):
    changes = {"data": {}, "options": {}, "penalties": {"none": None}, "mixers": {"none": None}}
    grid = {"title": "All", "mixers": "all", "penalties": "all", "seeds": 2}
    path = write(**changes, grids=[grid])
    (tmp_path / "fake_cells.py").write_text(FAKE_CELLS)
    (tmp_path / "runner.py").write_text(RUNNER.format(tool=str(ROOT / "tools" / "experiment.py")))
    command = [sys.executable, str(tmp_path / "runner.py"), str(path), "--work-dir", str(places.work_dir)]
    command += ["--page", str(places.page)]

    runner = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    cell = places.work_dir / "none" / "none" / "seed_1"
    while not (cell / "pid").is_file() or not (cell / "pid").read_text():
        assert runner.poll() is None, runner.stderr
        time.sleep(0.1)
    second = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert second.returncode == 1 and f"is run by process {runner.pid} on" in second.stderr
    runner.terminate()
    assert "interrupted" in runner.communicate()[1]
    assert runner.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int((cell / "pid").read_text()), 0)
    assert (cell.with_name("seed_0") / "result.json").is_file() and not (cell / "result.json").exists()

    done = (cell.with_name("seed_0") / "result.json").stat().st_mtime_ns
    subprocess.run(command, check=True, env={**os.environ, "FAST": "1"})
    assert (cell / "result.json").is_file()
    assert (cell.with_name("seed_0") / "result.json").stat().st_mtime_ns == done


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
