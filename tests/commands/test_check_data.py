"""tools/check_data.py: exit codes, files and messages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stal.commands.check_data import check_data_file
from stal.data.scenes.generate import generate
from stal.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 9, splits=("train", "iid"), width=96, height=72)
    return folder / "annotations.json"


@pytest.fixture
def broken(scenes: Path, tmp_path: Path) -> Path:
    """The data set with a box that is empty, and its videos where they are."""
    document = json.loads(scenes.read_text())
    for video in document["videos"]:
        video.update(path=str(scenes.parent / video["path"]), masks=None)
    document["videos"][0]["tubes"][0]["boxes"][0] = [5, 5, 5, 9]
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(document))
    return path


def tool(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "check_data.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.slow
def test_the_tool_exits_by_what_it_finds_and_corrects(broken: Path, tmp_path: Path) -> None:
    done = tool(broken, "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "error boxes-empty" in done.stdout
    assert "all 13 videos were opened" in done.stdout
    assert (tmp_path / "out" / "index.html").is_file()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["num_findings"]["error"] == 1
    done = tool(broken, "--out", tmp_path / "out", "--fix", tmp_path / "fixed.json")
    assert done.returncode == 0, done.stderr
    assert "1 boxes: left out" in done.stdout
    done = tool(broken, "--out", tmp_path / "out", "--max-videos", 2)
    assert "only 2 of 13 videos were opened" in done.stdout


@pytest.mark.parametrize("look", [{"decode": False}, {"max_videos": 2}])
def test_nothing_is_corrected_by_videos_that_were_not_opened(
    broken: Path, tmp_path: Path, look: dict[str, int]
) -> None:
    with pytest.raises(ConfigError, match="open all videos, without --no-decode and --max-videos"):
        check_data_file(broken, out=tmp_path / "out", fix=tmp_path / "fixed.json", **look)
    assert not (tmp_path / "fixed.json").exists()


def test_a_config_is_checked_like_its_file(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = ROOT / "configs" / "scenes_plain.py"
    assert check_data_file(config, options={"data.path": str(scenes)}, out=out, decode=False)
    assert json.loads((out / "report.json").read_text())["num_videos"] == 13


def findings_of(out: Path) -> dict[str, dict[str, str]]:
    return {finding["code"]: finding for finding in json.loads((out / "report.json").read_text())["findings"]}


@pytest.mark.parametrize(
    ("option", "value", "code", "said"),
    [
        ("train_dataloader.dataset.split", "Train", "split-missing", "train_dataloader.dataset.split is 'Train'"),
        ("test_dataloader.dataset.split", "test", "split-missing", "the splits are 'train', 'iid'"),
        ("model.detector.num_classes", 10, "num-classes", "model.detector.num_classes is 10"),
    ],
)
def test_a_config_that_does_not_fit_its_data_is_an_error(
    scenes: Path, tmp_path: Path, option: str, value: object, code: str, said: str
) -> None:
    options = {"data.path": str(scenes), option: value}
    assert not check_data_file(
        ROOT / "configs" / "scenes_plain.py", options=options, out=tmp_path / "out", decode=False
    )
    finding = findings_of(tmp_path / "out")[code]
    assert finding["level"] == "error"
    assert said in finding["what"]


@pytest.mark.slow
def test_warnings_of_the_reader_are_notes_and_on_the_terminal_once(tmp_path: Path) -> None:
    (tmp_path / "reader.py").write_text(READER)
    config = tmp_path / "config.py"
    config.write_text("from reader import read\ndata = dict(type=read)\n")
    command = [sys.executable, str(ROOT / "tools/check_data.py"), str(config), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, env=environment)
    findings = json.loads((tmp_path / "out" / "report.json").read_text())["findings"]
    notes = [finding for finding in findings if finding["code"] == "reader-warning"]
    assert [note["level"] for note in notes] == ["note", "note"]
    assert notes[0]["what"] == "3076 of 3194 videos are missing"
    assert notes[1]["what"] == "2 warnings of the reader like this one: 1.mat: short"
    assert [example["value"] for example in notes[1]["examples"]] == ["1.mat: short", "2.mat: short"]
    assert (done.stdout + done.stderr).count("3076 of 3194") == 1


READER = """
import logging
from stal.structures import Annotations

def read():
    logger = logging.getLogger("stal.data.ucf24")
    logger.warning("%d of %d videos are missing", 3076, 3194)
    for number in (1, 2):
        logger.warning("%s: short", f"{number}.mat")
    logger.info("nothing to see")
    return Annotations(("a",), ())
"""


def test_what_the_reader_of_a_config_refuses_is_a_finding(broken: Path, tmp_path: Path) -> None:
    config = ROOT / "configs" / "scenes_plain.py"
    for path, said in ((broken, "boxes are finite"), (tmp_path / "nowhere.json", "there is no such annotation file")):
        assert not check_data_file(config, options={"data.path": str(path)}, out=tmp_path / "out")
        (finding,) = json.loads((tmp_path / "out" / "report.json").read_text())["findings"]
        assert (finding["level"], finding["code"]) == ("error", "unreadable")
        assert said in finding["what"]


def test_a_config_that_is_wrong_is_no_finding(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        check_data_file(ROOT / "configs" / "scenes_plain.py", options={"dta.path": "x"}, out=tmp_path)


def test_a_config_cannot_be_corrected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only those are corrected"):
        check_data_file(ROOT / "configs" / "scenes_plain.py", out=tmp_path, fix=tmp_path / "fixed.json")


def test_nothing_to_correct_is_said_and_nothing_written(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert check_data_file(scenes, out=tmp_path / "out", fix=tmp_path / "fixed.json")
    assert "nothing that can be corrected safely" in capsys.readouterr().out
    assert not (tmp_path / "fixed.json").exists()


def test_a_file_of_another_format_names_the_tool_that_imports_it(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text('{"images": []}')
    assert not check_data_file(path, out=tmp_path / "out")
    (finding,) = json.loads((tmp_path / "out" / "report.json").read_text())["findings"]
    assert "tools/import_annotations.py" in finding["what"]


def test_the_tool_explains_itself() -> None:
    done = tool("--help")
    assert done.returncode == 0
    assert "example:" in done.stdout
