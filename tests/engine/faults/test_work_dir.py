import errno
import os
import subprocess
import sys

import pytest

from stal.engine.faults.work_dir import own_work_dir
from stal.errors import ConfigError, VideoReadError

HOLD = """
import sys
from pathlib import Path
from stal.engine.faults.work_dir import own_work_dir

with own_work_dir(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_trainings_in_one_work_directory_are_refused_and_the_first_is_named(tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    told = rf"the training in {tmp_path} is run by process {first.pid} on .*, since .*python.*own_work_dir"
    with pytest.raises(ConfigError, match=rf"(?s){told}"), own_work_dir(tmp_path):
        pass
    first.kill()
    first.communicate()
    with own_work_dir(tmp_path):
        pass


def test_half_of_a_checkpoint_is_removed_and_nothing_else(tmp_path):
    others = {"epoch_1.pth", "last_checkpoint", "metrics.json.1f.part", "training.lock"}
    for name in (*others, "epoch_2.pth.1f.part", "epoch_2.pth.2f.part", "last_checkpoint.1f.part"):
        (tmp_path / name).touch()
    with own_work_dir(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == others


def test_what_cannot_be_removed_is_a_clear_error(tmp_path):
    (tmp_path / "epoch_2.pth.1f.part").mkdir()
    with pytest.raises(ConfigError, match=r"epoch_2\.pth\.1f\.part: what is left .* remove it"), own_work_dir(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_without_room_for_whatever_a_training_writes_is_a_clear_error(tmp_path, number):
    told = rf"scalars\.json: cannot be written \({os.strerror(number)}\); the last checkpoint is as it was.*--resume"
    with pytest.raises(ConfigError, match=told), own_work_dir(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path / "scalars.json"))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), VideoReadError("a.mp4: broken")])
def test_other_errors_pass(tmp_path, error):
    with pytest.raises(OSError, match=r"Input/output|a\.mp4: broken") as caught, own_work_dir(tmp_path):
        raise error
    assert caught.value is error


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"training\.lock: cannot be written"),
        own_work_dir(tmp_path / "file" / "a"),
    ):
        pass
