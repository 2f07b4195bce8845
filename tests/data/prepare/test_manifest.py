import json

import pytest

from stal.data.prepare.manifest import FILE_NAME, open_manifest, size_of, state_of, writing_to
from stal.errors import ConfigError, VideoReadError

RECORD = {"key": "a b", "copy": {"num_bytes": 3}}


def test_what_was_noted_is_found_by_the_next_run(tmp_path):
    with open_manifest(tmp_path / "out", "mp4") as manifest:
        assert "a b" not in manifest
        manifest.add({"key": "a b"})
        manifest.add(RECORD)
        manifest.add({"key": "c"})
    with open_manifest(tmp_path / "out", "mp4") as manifest:
        assert manifest.find("a b") == RECORD
        assert manifest.find("c") == {"key": "c"}
        assert ("c" in manifest, "d" in manifest, manifest.find("d")) == (True, False, {})


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_that_was_cut_off_is_no_line_and_does_not_spoil_the_next(tmp_path, cut):
    with open_manifest(tmp_path, "mp4") as manifest:
        manifest.add(RECORD)
        manifest.add({"key": "cut", "copy": {}})
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-cut])
    with open_manifest(tmp_path, "mp4") as manifest:
        assert manifest.find("a b") == RECORD
        manifest.add({"key": "d"})
    with open_manifest(tmp_path, "mp4") as manifest:
        assert ("a b" in manifest, "d" in manifest) == (True, True)


@pytest.mark.parametrize("line", ["[]", "null", "{", '{"key": [1]}', '{"key": null}', "[" * 100_000, '{"a": 1}', ""])
def test_lines_that_say_nothing_are_passed_over(tmp_path, line):
    with open_manifest(tmp_path, "mp4") as manifest:
        manifest.add(RECORD)
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write(f"{line}\n")
    with open_manifest(tmp_path, "mp4") as manifest:
        assert manifest.find("a b") == RECORD


@pytest.mark.parametrize("length", [0, 1, 30])
def test_a_run_that_was_killed_while_it_began_leaves_a_beginning(tmp_path, length):
    with open_manifest(tmp_path, "mp4"):
        pass
    path = tmp_path / FILE_NAME
    header = path.read_bytes()
    path.write_bytes(header[:length])
    with open_manifest(tmp_path, "mp4"):
        pass
    assert path.read_bytes() == header


@pytest.mark.parametrize("content", ["frames", b"\xff\xfe", b'{"other": 1}\n', b"text without an end"])
def test_a_folder_of_other_copies_is_an_error_and_left_as_it_is(tmp_path, content):
    path = tmp_path / FILE_NAME
    if content == "frames":
        with open_manifest(tmp_path, "frames"):
            pass
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="copies of the kind 'mp4' were asked for"), open_manifest(tmp_path, "mp4"):
        pass
    assert path.read_bytes() == before


def test_a_folder_of_other_things_is_an_error(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ConfigError, match="is not empty, and is not of this tool"), open_manifest(tmp_path, "mp4"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ConfigError, match="is a file"), open_manifest(tmp_path / "out", "mp4"):
        pass


def test_a_second_run_is_kept_out(tmp_path):
    with (
        open_manifest(tmp_path, "mp4"),
        pytest.raises(ConfigError, match="another run is writing there"),
        open_manifest(tmp_path, "mp4"),
    ):
        pass
    with open_manifest(tmp_path, "mp4"):
        pass


def test_a_disk_that_cannot_be_written_to_is_an_error_and_other_errors_stay_what_they_are(tmp_path):
    full = OSError(28, "No space left on device")
    with pytest.raises(ConfigError, match=r"cannot be written to .*No space.*another disk"), writing_to(tmp_path):
        raise full
    for error in (VideoReadError("a.avi: broken"), KeyError("a")):
        with pytest.raises(type(error)), writing_to(tmp_path):
            raise error
    with pytest.raises(OSError, match="No space"), open_manifest(tmp_path, "mp4"):
        raise full


def test_the_first_line_says_what_the_file_is(tmp_path):
    with open_manifest(tmp_path, "frames"):
        pass
    assert json.loads((tmp_path / FILE_NAME).read_text()) == {"format": "stal-prepared", "version": 1, "kind": "frames"}


def test_the_state_of_a_path_changes_with_its_files(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"123")
    (folder / "2.jpg").write_bytes(b"45")
    assert size_of(folder) == {"num_files": 2, "num_bytes": 5}
    assert size_of(folder / "2.jpg") == {"num_files": 1, "num_bytes": 2}
    before = state_of(folder)
    (folder / "1.jpg").write_bytes(b"321")
    assert state_of(folder) != before
    assert size_of(tmp_path / "nothing") == state_of(tmp_path / "nothing") == {}
