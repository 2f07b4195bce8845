import multiprocessing
from pathlib import Path

import pytest

from stal.errors import ConfigError
from stal.experiments.data_sets import data_digests, data_folders, fill_folders, make_data
from stal.experiments.spec import DataToMake

TOOL = """
import sys
from pathlib import Path
out, text = Path(sys.argv[1]), sys.argv[2]
with open({counts!r}, "a") as file:
    file.write(text)
out.mkdir()
if text == "fail":
    sys.exit("it has failed")
(out / "file.txt").write_text(text)
"""


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "tool.py"
    path.write_text(TOOL.format(counts=str(tmp_path / "counts.txt")))
    return path


def command(tool: Path, text: str, name: str = "data") -> DataToMake:
    return DataToMake(name, (str(tool), "{out}", text))


def test_data_are_made_once(tool, tmp_path):
    for _ in range(2):
        folders = make_data([command(tool, "a")], tmp_path / "root")
    assert (folders["data"] / "file.txt").read_text() == "a"
    assert (tmp_path / "counts.txt").read_text() == "a"
    assert not list((tmp_path / "root").glob("*.unfinished*"))


def test_another_command_has_another_folder(tool, tmp_path):
    first = make_data([command(tool, "a")], tmp_path / "root")
    second = make_data([command(tool, "b")], tmp_path / "root")
    assert first["data"] != second["data"]
    assert first["data"].is_dir()
    assert data_digests(first) != data_digests(second)


def test_the_digest_is_that_of_the_files_wherever_they_are(tool, tmp_path):
    digests = [data_digests(make_data([command(tool, "a")], tmp_path / root)) for root in ("one", "two")]
    assert digests[0] == digests[1]
    assert data_digests(data_folders([command(tool, "a")], tmp_path / "three")) == {}


def test_data_may_be_made_of_data(tool, tmp_path):
    folders = make_data([command(tool, "a", "one"), command(tool, "{one}/file.txt", "two")], tmp_path)
    assert (folders["two"] / "file.txt").read_text() == str(folders["one"] / "file.txt")


def test_a_command_that_fails_leaves_nothing_and_is_quoted(tool, tmp_path):
    with pytest.raises(ConfigError, match=r"data\.data: `.*tool\.py .* fail` failed: it has failed"):
        make_data([command(tool, "fail")], tmp_path / "root")
    assert data_digests(data_folders([command(tool, "fail")], tmp_path / "root")) == {}
    assert not list((tmp_path / "root").glob("*.unfinished*"))


def test_a_changed_file_changes_the_digest(tool, tmp_path):
    folders = make_data([command(tool, "a")], tmp_path)
    before = data_digests(folders)
    (folders["data"] / "file.txt").write_text("changed")
    assert data_digests(folders) != before


def test_a_set_that_is_a_path_has_a_digest_and_a_split_has_none(tool, tmp_path):
    folders = make_data([command(tool, "a")], tmp_path)
    sets = {"folder": str(folders["data"]), "file": str(tool), "split": "no/such/path", "made": "{data}"}
    digests = data_digests(folders, sets)
    assert set(digests) == {"data", "sets.folder", "sets.file"}
    assert digests["data"] == digests["sets.folder"] != digests["sets.file"]


def test_two_processes_make_the_same_data_once(tool, tmp_path):
    tool.write_text(tool.read_text().replace("out.mkdir()", "import time; out.mkdir(); time.sleep(0.3)"))
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=make_data, args=([command(tool, "a")], tmp_path / "root")) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert (tmp_path / "counts.txt").read_text() == "a"


def test_folders_are_put_in_at_any_depth():
    folders = {"a": Path("x"), "b": Path("y")}
    value = {"path": "{a}/z", "list": ["{b}", 3, None], "plain": "z"}
    assert fill_folders(value, folders, "options") == {"path": "x/z", "list": ["y", 3, None], "plain": "z"}


def test_an_unknown_data_set_is_named_with_its_place():
    with pytest.raises(ConfigError, match=r"options\.data\.path: there is no data set \{b\}; before it: a"):
        fill_folders({"data.path": "{b}/z"}, {"a": Path("x")}, "options")
