"""The tool as it is called; what it prints and where it ends."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stal.commands.annotated_data import read_annotated_data
from stal.commands.command_line import run
from stal.data.formats.tubes_json import read_tubes_json, write_tubes_json

TOOL = Path(__file__).parents[3] / "tools/prepare_data.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("prepare_data", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(tool, data_set, tmp_path, monkeypatch, capsys):
    """Call the tool on a data set; return its exit code, and what it prints."""
    write_tubes_json(data_set, tmp_path / "tubes.json")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["prepare_data.py", *arguments, "--jobs", "1"])
        try:
            run(tool.main)
            code = 0
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call


def test_what_it_prints_makes_a_config_train_on_the_copies(call, tmp_path):
    code, out, err = call(str(tmp_path / "tubes.json"), "--to", "mp4", str(tmp_path / "out dir"))
    assert (code, err) == (0, "")
    assert "3 copies made, 0 kept" in out
    assert "frames found: 3 by order" in out
    config = tmp_path / "config.py"
    imports = "from stal.data.formats.tubes_json import read_tubes_json\n"
    (line,) = [line.strip() for line in out.splitlines() if line.strip().startswith("data = ")]
    config.write_text(imports + line)
    assert len(read_annotated_data(config).videos) == 3
    config.write_text("from stal.data.ucf24 import read_ucf24\ndata = dict(type=read_ucf24, root='data/ucf24')")
    read = read_annotated_data(
        config,
        {
            "data._delete_": True,
            "data.type": "stal.data.formats.tubes_json.read_tubes_json",
            "data.path": str(tmp_path / "out dir/annotations.json"),
        },
    )
    assert [video.key for video in read.videos] == ["Walk/a (1)!", "Walk/b@+", "Run/c"]
    assert "--cfg-options data._delete_=True data.type=stal.data.formats.tubes_json.read_tubes_json 'data.path=" in out


@pytest.mark.parametrize(
    ("flags", "first"),
    [
        (["--to", "frames"], "frames/Run/c/00001.jpg"),
        (["--to", "frames", "--png"], "frames/Run/c/00001.png"),
        (["--to", "frames", "--quality", "50"], "frames/Run/c/00001.jpg"),
        (["--to", "mp4", "--quality", "25", "--key-frames", "4"], "videos/Run/c.mp4"),
    ],
)
def test_flags_choose_the_copies(call, tmp_path, flags, first):
    assert call(str(tmp_path / "tubes.json"), *flags, str(tmp_path / "out"))[0] == 0
    assert (tmp_path / "out" / first).is_file()


def test_splits_can_be_chosen(call, data_set, tmp_path):
    json = str(tmp_path / "tubes.json")
    code, _, err = call(json, "--to", "mp4", str(tmp_path / "out"), "--split", "test")
    assert (code, "the splits are ['train']" in err) == (1, True)
    assert call(json, "--to", "mp4", str(tmp_path / "out"), "--split", "train", "train")[0] == 0
    assert len(read_tubes_json(tmp_path / "out/annotations.json").videos) == 3


def test_bad_videos_are_listed_at_the_end(call, data_set, tmp_path):
    data_set.videos[1].path.write_bytes(b"[/no] video" + bytes(range(256)))
    arguments = (str(tmp_path / "tubes.json"), "--to", "mp4", str(tmp_path / "out"))
    code, out, err = call(*arguments)
    assert code == 1
    assert "annotations.json is not written" in out
    assert "1 bad videos:" in err
    assert "b@+.mp4: " in err
    code, out, err = call(*arguments, "--skip-bad")
    assert code == 0
    assert "0 copies made, 2 kept" in out
    assert "annotations.json is written without the 1 bad videos" in out
    assert "b@+.mp4: " in err


@pytest.mark.parametrize("flags", [[], ["--skip-bad"]])
def test_without_a_good_video_it_fails_whatever_is_asked_for(call, data_set, tmp_path, flags):
    for video in data_set.videos:
        video.path.unlink()
    code, out, err = call(str(tmp_path / "tubes.json"), "--to", "mp4", str(tmp_path / "out"), *flags)
    assert code == 1
    assert "annotations.json is not written: not one video can be copied" in out
    assert "--skip-bad" not in out
    assert "3 bad videos:" in err


def test_tables_are_built_and_rules_reported(call, data_set, tmp_path):
    code, out, err = call(str(tmp_path / "tubes.json"), "--to", "tables")
    assert (code, out, err) == (0, "3 videos have their frames found: 3 by order\n", "")
    data_set.videos[1].path.unlink()
    code, out, err = call(str(tmp_path / "tubes.json"), "--to", "tables")
    assert (code, "2 videos have their frames found" in out, "there is no such video" in err) == (1, True, True)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--to", "mp4"], "--to mp4 needs OUT"),
        (["--to", "tables", "out"], "takes no OUT"),
        (["--to", "mp4", "out", "--png"], "--png goes with --to frames alone"),
        (["--to", "frames", "out", "--key-frames", "3"], "--key-frames goes with --to mp4 alone"),
        (["--to", "tables", "--skip-bad"], "--skip-bad goes with --to frames or mp4 alone"),
        (["--to", "frames", "out", "--png", "--quality", "3"], "takes no --quality"),
        (["--to", "gif", "out"], "invalid choice"),
        (["--to", "mp4", "out", "--quality", "52"], "is 0 .best. to 51"),
        (["--to", "mp4", "out", "--cfg-options", "a=1"], "is no config"),
    ],
)
def test_flags_that_do_not_go_together_are_errors(call, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("tubes.json", *flags)
    assert code in (1, 2)
    assert re.search(message, err)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_interrupt_ends_it_cleanly_and_a_second_run_goes_on(call, write_video, data_set, annotate, tmp_path):
    long = [
        annotate(write_video(tmp_path / f"videos/{i}.mp4", num_frames=60), str(i), num_frames=60) for i in range(40)
    ]
    annotations = type(data_set)(("act",), tuple(long))
    write_tubes_json(annotations, tmp_path / "long.json")
    command = [sys.executable, str(TOOL), str(tmp_path / "long.json"), "--to", "mp4", str(tmp_path / "out")]
    process = subprocess.Popen([*command, "--jobs", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and not list((tmp_path / "out").rglob("*.mp4")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted\n")
    num_made = len(list((tmp_path / "out").rglob("*.mp4")))
    assert 0 < num_made < 40
    assert not (tmp_path / "out/partial").exists()
    code, out, _ = call(str(tmp_path / "long.json"), "--to", "mp4", str(tmp_path / "out"))
    assert (code, f"{40 - num_made} copies made, {num_made} kept" in out) == (0, True)
