"""Scene-shifted sets by the name of a config or an annotation file, and by the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stal.commands.annotated_data import read_annotated_data
from stal.commands.scene_shift import make_scene_shift_of, read_test_data
from stal.data.formats.tubes_json import read_tubes_json
from stal.data.scenes import generate
from stal.errors import AnnotationError, ConfigError
from stal.structures import Annotations

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "scenes_plain.py"
TOOL = ROOT / "tools" / "make_scene_shift.py"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 6, splits=("train", "iid", "shifted"), width=96, height=72)
    return folder / "annotations.json"


def splits_of(annotations: Annotations) -> set[str]:
    return {video.split for video in annotations.videos}


def test_a_config_gives_what_it_tests_on_and_a_file_all_of_its_videos(scenes: Path) -> None:
    options = {"data.path": str(scenes)}
    assert splits_of(read_test_data(CONFIG, options=options)) == {"iid"}
    assert splits_of(read_test_data(CONFIG, "shifted", options)) == {"shifted"}
    assert splits_of(read_test_data(scenes)) == {"train", "iid", "shifted"}
    assert splits_of(read_test_data(scenes, "train")) == {"train"}


def test_a_split_that_there_is_not_and_options_of_a_file_are_refused(scenes: Path) -> None:
    with pytest.raises(AnnotationError, match="no video has split 'test'; the splits are"):
        read_test_data(scenes, "test")
    with pytest.raises(ConfigError, match="is no config; leave them out"):
        read_test_data(scenes, options={"data.path": "elsewhere"})


def test_a_shifted_set_is_annotated_data_itself(scenes: Path, tmp_path: Path) -> None:
    made = make_scene_shift_of(scenes, tmp_path / "swap", "swap", mask="silhouette", split="iid")
    read = read_annotated_data(made.annotations_file)
    sources = {video.key: video for video in read_tubes_json(scenes, "iid").videos}
    assert [video.key for video in read.videos] == list(sources)
    for video in read.videos:
        assert video.split == "iid"
        assert video.scene in read_tubes_json(scenes).scenes
        assert video.scene != sources[video.key].scene
    again = make_scene_shift_of(made.annotations_file, tmp_path / "grey", "actor_only", mask="silhouette")
    assert len(again.annotations.videos) == len(sources)


@pytest.mark.slow
def test_the_tool_makes_a_set_and_says_what_it_skips(scenes: Path, tmp_path: Path) -> None:
    content = json.loads(scenes.read_text())
    for video in content["videos"]:
        video["path"], video["masks"] = str(scenes.parent / video["path"]), None
    content["videos"][-1]["path"] = "lost/nowhere.mp4"
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    command = [sys.executable, str(TOOL), str(tmp_path / "annotations.json"), "--kind", "stripe", "--out", str(out)]
    done = subprocess.run([*command, "--split", "shifted", "--jobs", "1"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert f"2 videos: {out / 'annotations.json'}" in done.stdout
    assert "1 videos are skipped:" in done.stderr
    assert "nowhere.mp4" in done.stderr
    again = subprocess.run([*command, "--split", "shifted"], capture_output=True, text=True, timeout=300)
    assert again.returncode == 1
    assert again.stderr.startswith(f"error: {out} holds a shifted set")
