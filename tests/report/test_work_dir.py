"""What is found in a work directory, and what is said of what is not."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.report.absent import find_absent
from stal.report.work_dir import WorkDir, open_work_dir


@pytest.fixture
def side(tmp_path: Path) -> WorkDir:
    config = Config({"test_dataloader": {"dataset": {"split": "iid"}}})
    return WorkDir(tmp_path, "a detector", "configs/a.py", config, {"data.path": "my data.json"})


def write_log(folder: Path, run: str, lines: list[dict]) -> None:
    path = folder / run / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_curves_of_a_resumed_training_go_on_where_it_was_resumed(side):
    write_log(side.folder, "run_1", [{"loss": 3.0, "iter": s, "epoch": 1, "step": s} for s in (10, 20, 30)])
    write_log(side.folder, "run_2", [{"loss": 2.0, "iter": s, "epoch": 2, "step": s} for s in (20, 40)])
    assert side.curves() == {"loss": ([10, 20, 40], [3.0, 2.0, 2.0])}


def test_a_validation_stands_at_the_iteration_before_it(side):
    train = [{"loss": 3.0, "time": 0.5, "iter": step, "step": step} for step in (10, 20)]
    write_log(side.folder, "run", [*train, {"frame_mAP@0.5": 7, "time": 0.1, "step": 1}])
    assert side.curves() == {
        "frame_mAP@0.5": ([20.0], [7.0]),
        "loss": ([10.0, 20.0], [3.0, 3.0]),
        "time": ([10.0, 20.0], [0.5, 0.5]),
    }


def test_without_a_log_there_are_no_curves(side):
    assert side.curves() == {}


@pytest.mark.parametrize("line", ['{"loss": 3.', "[1]", '{"loss": 3.0}'])
def test_a_broken_log_is_named_with_its_line(side, line):
    write_log(side.folder, "run", [{"loss": 3.0, "iter": 10, "step": 10}])
    with (side.folder / "run" / "vis_data" / "scalars.json").open("a") as file:
        file.write(line)
    with pytest.raises(AnnotationError, match=r"scalars.json, line 2"):
        side.curves()


@pytest.mark.parametrize(
    ("files", "name", "found"),
    [
        ([], None, None),
        (["detections_iid.npz"], None, "detections_iid.npz"),
        (["detections_iid.npz", "detections.npz"], None, "detections.npz"),
        (["detections.npz"], "iid", "detections.npz"),
        (["detections.npz"], "anti", None),
        (["detections_anti.npz"], "anti", "detections_anti.npz"),
    ],
)
def test_detections_are_found_by_the_name_of_their_set(side, files, name, found):
    for file in files:
        (side.folder / file).touch()
    path = side.detections_file(name)
    assert (path and path.name) == found


def test_commands_can_be_pasted_into_a_shell(side):
    folder = side.folder
    assert side.test_command("iid", "anti") == (
        f"python tools/test.py configs/a.py {folder} --work-dir {folder} --dump {folder}/detections.npz "
        "--split iid anti --cfg-options 'data.path=my data.json'"
    )


@pytest.mark.parametrize(("content", "message"), [("{", "is broken"), ("[]", "holds no numbers")])
def test_broken_numbers_are_an_error_that_names_the_file(side, content, message):
    (side.folder / "scene_shift.json").write_text(content)
    with pytest.raises(AnnotationError, match=f"scene_shift.json.*{message}"):
        side.scene_shift()


@pytest.mark.parametrize(("configs", "message"), [([], "has none"), (["a.py", "b.py"], "several: a.py, b.py")])
def test_a_folder_without_one_config_asks_for_it(tmp_path, configs, message):
    for name in configs:
        (tmp_path / name).write_text("x = 1")
    with pytest.raises(ConfigError, match=f"{message}; name the config with --config"):
        open_work_dir(tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataNotFoundError, match="there is no work directory"):
        open_work_dir(tmp_path / "nowhere")


def test_every_absent_part_names_what_makes_it(side):
    nothing = {"scored": [], "shifts": [], "drops": [], "curves": []}
    absent = {part.section: part.command.split()[1] for part in find_absent([side], **nothing, num_clips=4)}
    assert absent == {
        "numbers": "tools/test.py",
        "clips": "tools/test.py",
        "scene-shift": "tools/test.py",
        "training": "tools/train.py",
    }
    everything = {kind: [side.name] for kind in nothing}
    assert [(part.section, part.command.split()[1]) for part in find_absent([side], **everything, num_clips=4)] == [
        ("clips", "tools/train.py")  # there is no checkpoint
    ]
    assert [part.command for part in find_absent([side], **everything, num_clips=0)] == [""]
