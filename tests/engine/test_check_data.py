"""tools/check_data.py: exit codes, files and messages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stal.data.scenes.generate import generate
from stal.engine.check_data import check_data_file
from stal.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 9, splits=("train",), width=96, height=72)
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
    assert "all 9 videos were opened" in done.stdout
    assert (tmp_path / "out" / "index.html").is_file()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["num_findings"]["error"] == 1
    done = tool(broken, "--out", tmp_path / "out", "--fix", tmp_path / "fixed.json", "--max-videos", 2)
    assert done.returncode == 0, done.stderr
    assert "1 boxes: left out" in done.stdout
    assert "only 2 of 9 videos were opened" in done.stdout


def test_a_config_is_checked_like_its_file(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = ROOT / "configs" / "scenes_plain.py"
    assert check_data_file(config, options={"data.path": str(scenes)}, out=out, decode=False)
    assert json.loads((out / "report.json").read_text())["num_videos"] == 9


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
    assert check_data_file(scenes, out=tmp_path / "out", decode=False, fix=tmp_path / "fixed.json")
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
