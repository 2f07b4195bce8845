import logging
import os
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from stal.data.video import table_cache
from stal.data.video.table_cache import Origin, cache_folder, load, store

ORIGIN = Origin(Path("/videos/a.avi"), 100, 7)
CONTENT = b"a table\n" * 100


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for the tables that is not there yet."""
    monkeypatch.setenv("STAL_CACHE", str(tmp_path / "deep/tables"))
    table_cache._warn_once.cache_clear()
    return tmp_path / "deep/tables"


def test_what_is_stored_is_loaded(folder):
    assert load(ORIGIN) is None
    store(ORIGIN, CONTENT)
    assert load(ORIGIN) == CONTENT
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("change", [{"size": 101}, {"mtime_ns": 8}, {"path": Path("/videos/b.avi")}])
def test_a_video_in_another_state_has_none(folder, change):
    store(ORIGIN, CONTENT)
    assert load(ORIGIN._replace(**change)) is None
    store(ORIGIN._replace(**change), b"new")
    assert load(ORIGIN._replace(**change)) == b"new"
    assert len(list(folder.iterdir())) == (2 if "path" in change else 1)


def test_other_decoders_or_another_layout_make_a_new_table(folder, monkeypatch):
    store(ORIGIN, CONTENT)
    with monkeypatch.context() as patch:
        patch.setitem(table_cache.av.library_versions, "libavcodec", (1, 2, 3))
        assert load(ORIGIN) is None
    monkeypatch.setattr(table_cache, "_LAYOUT", "stal frame table 0")
    assert load(ORIGIN) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: b"",
        lambda record: record[:-1],
        lambda record: record[:40],
        lambda record: record + b"x",
        lambda record: record[:-9] + b"\xff" + record[-8:],
        lambda record: b"something else",
    ],
    ids=["empty", "shorter", "cut in the header", "longer", "changed", "foreign"],
)
def test_a_broken_file_counts_as_none_and_is_replaced(folder, damage):
    store(ORIGIN, CONTENT)
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert load(ORIGIN) is None
    store(ORIGIN, CONTENT)
    assert load(ORIGIN) == CONTENT


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_other_users_may_read_what_the_umask_lets_them(folder, umask, mode):
    previous = os.umask(umask)
    try:
        store(ORIGIN, CONTENT)
    finally:
        os.umask(previous)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_what_a_killed_writer_leaves_does_not_matter(folder, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*_, **options):
        raise Killed

    store(ORIGIN, CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        patch.setattr(Path, "unlink", kill)
        with pytest.raises(Killed):
            store(ORIGIN, b"other")
    assert len(list(folder.iterdir())) == 2
    assert load(ORIGIN) == CONTENT
    store(ORIGIN, b"other")
    assert load(ORIGIN) == b"other"


@pytest.mark.parametrize("value", ["off", ""])
def test_it_can_be_switched_off(monkeypatch, tmp_path, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAL_CACHE", value)
    assert cache_folder() is None
    store(ORIGIN, CONTENT)
    assert load(ORIGIN) is None
    assert not list(tmp_path.iterdir())


def test_the_folder_is_the_users_cache_unless_one_is_named(monkeypatch):
    monkeypatch.delenv("STAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/stal/frame_tables")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/stal/frame_tables")


def test_a_folder_that_cannot_be_written_is_logged_once(folder, caplog):
    folder.parent.mkdir()
    folder.write_text("no folder")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            store(ORIGIN, CONTENT)
            assert load(ORIGIN) is None
    assert len(caplog.records) == 1
    assert "frame tables cannot be kept there" in caplog.text
    assert "STAL_CACHE" in caplog.text


def test_nothing_is_left_over_where_writing_fails(folder, monkeypatch, caplog):
    store(ORIGIN, CONTENT)

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    store(ORIGIN, b"other")
    assert "No space left on device" in caplog.text
    assert load(ORIGIN) == CONTENT
    assert len(list(folder.iterdir())) == 1


def write_and_read(folder, number):
    os.environ["STAL_CACHE"] = folder
    seen = set()
    for _ in range(200):
        store(ORIGIN, bytes([number]) * 5000)
        seen.add(load(ORIGIN))
    return seen


def test_processes_may_write_at_once(folder):
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        seen = set().union(*pool.map(write_and_read, [str(folder)] * 3, range(3)))
    assert seen <= {bytes([number]) * 5000 for number in range(3)}
    assert len(list(folder.iterdir())) == 1
