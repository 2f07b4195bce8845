"""Files that are there as a whole or not at all, and errors that people can read where they cannot be written."""

import contextlib
import errno
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from stal.data.formats.known_formats import FORMATS
from stal.data.formats.whole_file import open_whole
from stal.errors import AnnotationError, ConfigError
from stal.structures import Annotations, Tube, Video

WRITABLE = [name for name, known in FORMATS.items() if known.write is not None]


def data_set(key="a"):
    tube = Tube(0, np.array([0]), np.array([[0, 0, 1, 1]], np.float32))
    return Annotations(("walk",), (Video(key, Path("a.mp4"), 9, 24, 32, tubes=(tube,), split="train"),))


def test_a_file_is_there_when_all_is_written(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with open_whole(path) as file:
        file.write(b"1")
        assert not path.exists()
    assert path.read_bytes() == b"1"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), AnnotationError("x"), KeyboardInterrupt()])
def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises((ConfigError, AnnotationError, KeyboardInterrupt)) as caught, open_whole(path) as file:
        file.write(b"new")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    if isinstance(error, OSError):
        assert str(caught.value).startswith(f"{path}: cannot be written (No space left on device)")


def test_two_writers_of_a_file_do_not_meet_and_the_last_one_counts(tmp_path):
    path = tmp_path / ("x" * 255)
    with open_whole(path) as first, open_whole(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"  # which is closed after the second
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EIO])
def test_a_folder_that_cannot_be_sent_to_the_disk_ends_nothing_unless_the_disk_fails(tmp_path, monkeypatch, number):
    path, sync = tmp_path / "a.txt", os.fsync

    def sync_files_alone(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files_alone)
    raised = pytest.raises(ConfigError, match="Input/output") if number == errno.EIO else contextlib.nullcontext()
    with raised, open_whole(path) as file:
        file.write(b"1")
    assert path.read_bytes() == b"1"


def test_devices_are_not_replaced():
    with pytest.raises(ConfigError, match="/dev/null: this is a folder or a device"), open_whole("/dev/null"):
        pass


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("place", ["folder.xml", "file/out.xml", "x" * 300 + ".xml", "."])
def test_every_writer_names_the_file_that_cannot_be_written(tmp_path, monkeypatch, name, place):
    (tmp_path / "folder.xml").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    if (name, place) == ("cvat", "."):  # a folder of files
        return
    with pytest.raises(ConfigError, match=f"^{place}: "):
        FORMATS[name].write(data_set(), place)


@pytest.mark.parametrize("name", WRITABLE)
def test_a_data_set_that_is_refused_leaves_the_old_file(tmp_path, name):
    path = tmp_path / "out.xml"
    path.write_bytes(b"old")
    scored = Tube(0, np.array([0]), np.array([[0, 0, 1, 1]], np.float32), score=0.5)
    videos = (Video("a", Path("a.mp4"), 9, 24, 32, tubes=(scored,), split="train"),)
    with pytest.raises(AnnotationError, match="score"):
        FORMATS[name].write(Annotations(("walk",), videos), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pickle_replaces_the_old_one_as_a_whole(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"old")
    FORMATS["act-pickle"].write(data_set(), path)
    assert pickle.loads(path.read_bytes())["labels"] == ["walk"]
    assert list(tmp_path.iterdir()) == [path]
