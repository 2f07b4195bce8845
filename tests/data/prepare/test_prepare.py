import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from stal.data.formats.tubes_json import read_tubes_json
from stal.data.prepare import one_copy
from stal.data.prepare import prepare as module
from stal.data.prepare.frame_folders import FrameFolders
from stal.data.prepare.prepare import prepare
from stal.data.prepare.seekable_video import SeekableVideos
from stal.data.video.reader import read_frames
from stal.errors import AnnotationError, ConfigError, VideoReadError
from stal.structures import Annotations

KINDS = {"mp4": SeekableVideos(), "jpg": FrameFolders(), "png": FrameFolders(None)}


def counts(result):
    return result.num_made, result.num_kept, len(result.bad)


def files(folder):
    """Every file below a folder but the manifest, with its content."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "prepared.jsonl"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture
def made(monkeypatch):
    """The keys of the videos that are copied, in their order."""
    keys = []
    monkeypatch.setattr(module, "make_copy", lambda job: keys.append(job.video.key) or one_copy.make_copy(job))
    return keys


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_annotations_of_the_copies_are_those_of_the_sources(data_set, tmp_path, kind):
    masks = tmp_path / "masks/c.npz"
    videos = (*data_set.videos[:2], dataclasses.replace(data_set.videos[2], masks_path=masks, scene="x", fps=25.0))
    annotations = dataclasses.replace(data_set, videos=videos)
    result = prepare(annotations, tmp_path / "out", kind)
    assert counts(result) == (3, 0, 0)
    assert result.rules == {"order": 3}
    assert result.num_bytes == sum(len(v) for k, v in files(tmp_path / "out").items() if k != "annotations.json")
    read = read_tubes_json(result.annotations_file)
    assert read.classes == annotations.classes
    for video, copy in zip(videos, read.videos, strict=True):
        for name in ("key", "num_frames", "height", "width", "fps", "split", "scene"):
            assert getattr(copy, name) == getattr(video, name)
        np.testing.assert_array_equal(copy.tubes[0].boxes, video.tubes[0].boxes)
        assert copy.path.resolve().is_relative_to(tmp_path / "out")
        difference = np.abs(read_frames(copy.path, range(10)).astype(int) - read_frames(video.path, range(10)))
        assert difference.mean() < 3
    assert read.videos[2].masks_path.resolve() == masks
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["annotations.json", "prepared.jsonl", kind.place("a").parts[0]]
    )


def test_masks_and_copies_are_found_from_a_folder_behind_a_link(data_set, tmp_path):
    (tmp_path / "disk/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk/deep")
    masks = tmp_path / "masks.npz"
    masks.touch()
    videos = (dataclasses.replace(data_set.videos[0], masks_path=masks),)
    prepare(dataclasses.replace(data_set, videos=videos), tmp_path / "link/out", SeekableVideos())
    (video,) = read_tubes_json(tmp_path / "link/out/annotations.json").videos
    assert video.path.is_file()
    assert video.masks_path.samefile(masks)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_second_run_keeps_what_is_complete(data_set, tmp_path, kind, made):
    prepare(data_set, tmp_path / "out", kind)
    before = files(tmp_path / "out")
    assert len(made) == 3
    result = prepare(data_set, tmp_path / "out", kind)
    assert counts(result) == (0, 3, 0)
    assert len(made) == 3
    assert files(tmp_path / "out") == before


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_changed_is_made_anew(data_set, tmp_path, write_video, kind, made):
    def run(annotations=data_set, kind=kind):
        made.clear()
        return prepare(annotations, tmp_path / "out", kind).annotations_file is not None and sorted(made)

    everything = sorted(video.key for video in data_set.videos)
    assert run() == everything
    source = data_set.videos[1].path
    write_video(source, options={"bf": "0", "crf": "30"}, num_frames=10)
    assert run() == ["Walk/b@+"]
    os.utime(source, ns=(1, 1))
    assert run() == ["Walk/b@+"]
    longer = dataclasses.replace(data_set.videos[2], num_frames=11, tubes=())
    assert run(dataclasses.replace(data_set, videos=(*data_set.videos[:2], longer))) == ["Run/c"]
    assert run() == ["Run/c"]
    settings = {"crf": 20} if isinstance(kind, SeekableVideos) else {"quality": 50}
    assert run(kind=dataclasses.replace(kind, **settings)) == everything
    copy = tmp_path / "out" / kind.place("Run/c")
    shutil.rmtree(copy) if copy.is_dir() else copy.write_bytes(b"cut")
    assert run(kind=dataclasses.replace(kind, **settings)) == ["Run/c"]
    if copy.is_dir():
        (copy / "00003.jpg").unlink()
        assert run(kind=dataclasses.replace(kind, **settings)) == ["Run/c"]
    assert run(kind=dataclasses.replace(kind, **settings)) == []


def test_copies_can_be_of_folders_of_frames(sources, tmp_path, made):
    annotations = Annotations(("act",), (sources["folder"],))
    for _ in range(2):
        prepare(annotations, tmp_path / "out", SeekableVideos())
    assert made == ["folder"]


class Killed(BaseException):
    """What ends a process at once."""


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("when", ["while it writes", "before it is moved", "before it is noted"])
def test_a_run_that_is_killed_is_gone_on_with(data_set, tmp_path, monkeypatch, kind, when):
    """Nothing is cleaned up: what a killed run leaves is there as it was."""
    whole = tmp_path / "whole"
    prepare(data_set, whole, kind)
    out = tmp_path / "out"

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "remove", lambda path: path.exists() and None)
        if when == "while it writes":
            write = type(kind).write

            def write_a_part(self, video, path):
                if video.key != "Walk/b@+":
                    return write(self, video, path)
                path.mkdir() if isinstance(self, FrameFolders) else path.write_bytes(b"half of a video")
                kill()

            patch.setattr(type(kind), "write", write_a_part)
        elif when == "before it is moved":
            replace = os.replace
            patch.setattr(os, "replace", lambda a, b: kill() if "b@+" in str(b) else replace(a, b))
        else:
            add = module.Manifest.add
            patch.setattr(
                module.Manifest, "add", lambda m, r: kill() if r["key"] == "Walk/b@+" and "copy" in r else add(m, r)
            )
        with pytest.raises(Killed):
            prepare(data_set, out, kind)
    assert not (out / "annotations.json").exists()
    assert (out / "partial").exists()
    result = prepare(data_set, out, kind)
    assert counts(result) == (2, 1, 0)
    assert files(out) == files(whole)
    assert not (out / "partial").exists()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_run_is_gone_on_with_while_orphans_of_the_last_one_still_write(data_set, tmp_path, monkeypatch, kind):
    """They put files where nothing was, and so folders cannot be removed."""
    prepare(data_set, tmp_path / "whole", kind)
    out = tmp_path / "out"
    prepare(dataclasses.replace(data_set, videos=data_set.videos[:1]), out, kind)
    orphan = out / "partial/123-abc"
    orphan.mkdir(parents=True)
    rmdir, write = os.rmdir, type(kind).write

    def write_before(path, **options):
        if Path(path).name in ("123-abc", "partial") and orphan.is_dir():
            (orphan / "00007.png").write_bytes(b"half")
        rmdir(path, **options)

    def write_too(self, video, path):
        orphan.mkdir(parents=True, exist_ok=True)
        (orphan / f"{len(os.listdir(orphan))}.png").write_bytes(b"half")
        write(self, video, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", write_before)
        patch.setattr(type(kind), "write", write_too)
        assert counts(prepare(data_set, out, kind)) == (2, 1, 0)
    assert counts(prepare(data_set, out, kind)) == (0, 3, 0)
    assert not (out / "partial").exists()
    assert files(out) == files(tmp_path / "whole")


def test_two_runs_of_one_process_have_partial_folders_of_their_own(data_set, tmp_path, monkeypatch):
    seen = []
    write = SeekableVideos.write
    monkeypatch.setattr(SeekableVideos, "write", lambda s, v, path: seen.append(path.parent) or write(s, v, path))
    for name in ("a", "b"):
        prepare(data_set, tmp_path / name, SeekableVideos())
    assert len({path.name for path in seen}) == 2
    assert {path.parent.name for path in seen} == {"partial"}


@pytest.mark.parametrize("name", ["out", "partial", "annotations.json"])
def test_a_folder_that_cannot_be_written_is_said_so(data_set, tmp_path, monkeypatch, name):
    mkdir, replace = Path.mkdir, os.replace

    def fail(path):
        if name in (path.name, path.parent.name):
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", lambda path, *args, **options: fail(path) or mkdir(path, *args, **options))
    monkeypatch.setattr(os, "replace", lambda a, b: fail(Path(b)) or replace(a, b))
    with pytest.raises(ConfigError, match=r"out: cannot be written to \(.*name a folder on another disk"):
        prepare(data_set, tmp_path / "out", SeekableVideos())


def test_an_error_of_the_system_that_is_none_of_writing_stays_what_it_is(data_set, tmp_path, monkeypatch):
    def fail(*_, **options):
        raise BlockingIOError(11, "Resource temporarily unavailable")  # as where no process can be started

    monkeypatch.setattr(module, "run_with_progress", fail)
    with pytest.raises(BlockingIOError, match="Resource temporarily unavailable"):
        prepare(data_set, tmp_path / "out", SeekableVideos())


def test_an_interrupted_run_leaves_nothing_partial(data_set, tmp_path, monkeypatch):
    def interrupt(self, video, path):
        path.write_bytes(b"half of a video")
        raise KeyboardInterrupt

    monkeypatch.setattr(SeekableVideos, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(data_set, tmp_path / "out", SeekableVideos())
    assert list(files(tmp_path / "out")) == []


@pytest.fixture
def broken_set(data_set, annotate, tmp_path):
    """Three good videos and three bad ones."""
    (tmp_path / "videos/text.avi").write_text("no video")
    bad = [
        annotate(tmp_path / "videos/text.avi", "text"),
        annotate(tmp_path / "videos/missing.avi", "missing"),
        dataclasses.replace(data_set.videos[0], key="size", height=50),
    ]
    return dataclasses.replace(data_set, videos=(*bad, *data_set.videos))


def test_bad_videos_are_named_and_keep_the_annotations_from_being_written(broken_set, tmp_path):
    result = prepare(broken_set, tmp_path / "out", SeekableVideos())
    assert counts(result) == (3, 0, 3)
    assert result.annotations_file is None
    assert "FFmpeg cannot decode it" in result.bad["text"]
    assert "there is no such video" in result.bad["missing"]
    assert "64 x 48 pixels, but 64 x 50 are annotated" in result.bad["size"]
    assert len(files(tmp_path / "out")) == 3


def test_bad_videos_can_be_left_out(broken_set, tmp_path):
    for num_made in (3, 0):
        result = prepare(broken_set, tmp_path / "out", SeekableVideos(), skip_bad=True)
        assert counts(result) == (num_made, 3 - num_made, 3)
        assert [v.key for v in read_tubes_json(result.annotations_file).videos] == ["Walk/a (1)!", "Walk/b@+", "Run/c"]


def test_annotations_of_an_earlier_run_do_not_stay_when_a_video_turns_bad(data_set, tmp_path):
    prepare(data_set, tmp_path / "out", SeekableVideos())
    data_set.videos[0].path.write_text("no video any more")
    assert prepare(data_set, tmp_path / "out", SeekableVideos()).annotations_file is None
    assert not (tmp_path / "out/annotations.json").exists()


def test_annotations_without_a_good_video_are_not_written(annotate, tmp_path):
    annotations = Annotations(("act",), (annotate(tmp_path / "videos/missing.avi"),))
    assert prepare(annotations, tmp_path / "out", SeekableVideos(), skip_bad=True).annotations_file is None


def test_a_copy_that_fails_verification_is_not_left_there(data_set, tmp_path, monkeypatch):
    def fail(video, copy, group_size):
        assert copy.is_file()
        raise VideoReadError(f"video {video.key}: wrong")

    monkeypatch.setattr("stal.data.prepare.seekable_video.verify_copy", fail)
    result = prepare(data_set, tmp_path / "out", SeekableVideos())
    assert result.bad == {video.key: f"video {video.key}: wrong" for video in data_set.videos}
    assert files(tmp_path / "out") == {}


def test_a_source_that_changes_meanwhile_is_not_taken(data_set, tmp_path, monkeypatch):
    write = SeekableVideos.write

    def write_and_change(self, video, path):
        write(self, video, path)
        os.utime(video.path, ns=(1, 1))

    monkeypatch.setattr(SeekableVideos, "write", write_and_change)
    result = prepare(data_set, tmp_path / "out", SeekableVideos())
    assert all("was changed while it was copied" in error for error in result.bad.values())


def test_files_of_others_are_not_replaced(data_set, tmp_path):
    first = dataclasses.replace(data_set, videos=data_set.videos[:1])
    prepare(first, tmp_path / "out", SeekableVideos())
    foreign = tmp_path / "out/videos/Walk/b@+.mp4"
    foreign.write_bytes(b"mine")
    result = prepare(data_set, tmp_path / "out", SeekableVideos())
    assert "not of this tool" in result.bad["Walk/b@+"]
    assert counts(result) == (1, 1, 1)
    assert foreign.read_bytes() == b"mine"


def test_a_full_disk_ends_the_run_and_keeps_what_is_complete(data_set, tmp_path, monkeypatch):
    write = SeekableVideos.write

    def fill(self, video, path):
        write(self, video, path)
        if video.key == "Run/c":
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SeekableVideos, "write", fill)
        with pytest.raises(ConfigError, match="the disk is full; free some space and run this again"):
            prepare(data_set, tmp_path / "out", SeekableVideos())
    assert not (tmp_path / "out/partial").exists()
    assert counts(prepare(data_set, tmp_path / "out", SeekableVideos())) == (1, 2, 0)


@pytest.mark.parametrize(("num_free", "fits"), [(10**9, True), (100, False)])
def test_a_disk_on_which_the_copies_will_not_fit_is_noticed_early(
    data_set, tmp_path, monkeypatch, made, num_free, fits
):
    videos = [dataclasses.replace(data_set.videos[0], key=f"v{i}", tubes=()) for i in range(12)]
    usage = shutil.disk_usage(tmp_path)._replace(free=num_free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    annotations = dataclasses.replace(data_set, videos=tuple(videos))
    if fits:
        assert counts(prepare(annotations, tmp_path / "out", SeekableVideos())) == (12, 0, 0)
    else:
        with pytest.raises(ConfigError, match=r"the other copies need about \d+.\d GiB, but 0.0 GiB are free"):
            prepare(annotations, tmp_path / "out", SeekableVideos())
        assert len(made) == 8


def test_a_copy_that_broke_in_its_place_is_noticed_and_made_anew(data_set, tmp_path, monkeypatch, made):
    prepare(data_set, tmp_path / "out", SeekableVideos())
    copy = tmp_path / "out/videos/Run/c.mp4"
    copy.write_bytes(bytes(copy.stat().st_size))
    result = prepare(data_set, tmp_path / "out", SeekableVideos())
    assert list(result.bad) == ["Run/c"]
    assert counts(prepare(data_set, tmp_path / "out", SeekableVideos())) == (1, 2, 0)


def test_keys_that_lead_out_are_refused_before_anything_is_written(data_set, tmp_path):
    videos = (dataclasses.replace(data_set.videos[0], key="../../escaped"),)
    with pytest.raises(AnnotationError, match="leads out of its folder"):
        prepare(dataclasses.replace(data_set, videos=videos), tmp_path / "out", SeekableVideos())
    assert not (tmp_path / "out").exists()


def test_a_key_that_is_too_long_for_a_file_is_a_bad_video(data_set, tmp_path):
    videos = (dataclasses.replace(data_set.videos[0], key="a" * 300), *data_set.videos[1:])
    result = prepare(dataclasses.replace(data_set, videos=videos), tmp_path / "out", SeekableVideos())
    assert counts(result) == (2, 0, 1)
    assert "its copy cannot be written" in result.bad["a" * 300]


@pytest.mark.slow
def test_several_processes_make_the_same_files(data_set, tmp_path):
    for num_processes in (1, 2):
        result = prepare(data_set, tmp_path / str(num_processes), SeekableVideos(), num_processes=num_processes)
        assert counts(result) == (3, 0, 0)
    one, two = files(tmp_path / "1"), files(tmp_path / "2")
    assert one == two


def test_no_process_at_all_is_an_error(data_set, tmp_path):
    with pytest.raises(ConfigError, match="0 processes: at least 1"):
        prepare(data_set, tmp_path / "out", SeekableVideos(), num_processes=0)
    assert not (tmp_path / "out").exists()
