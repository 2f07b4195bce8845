import errno
import os

import pytest

from stal.errors import ConfigError, DataNotFoundError
from stal.inference.predict.videos import list_videos


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("b.mp4", "a.AVI", "notes.md", "x/c.webm", ".hidden.mp4", "x/y/00001.jpg", "x/y/00002.jpg"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "videos"


def keys(*named) -> list[str]:
    return [video.key for video in list_videos([str(name) for name in named])]


def test_a_folder_has_its_videos_at_any_depth_and_folders_of_frames(folder):
    videos = list_videos([str(folder)])
    assert [video.key for video in videos] == ["a.AVI", "b.mp4", "x/c.webm", "x/y"]
    assert [video.path for video in videos] == [folder / video.key for video in videos]
    assert [video.num_bytes for video in videos] == [5, 5, 5, 10]


def test_a_folder_of_frames_may_be_named_itself(folder):
    assert keys("videos/x/y") == ["videos/x/y"]


@pytest.mark.parametrize(
    ("named", "key"),
    [("videos/b.mp4", "videos/b.mp4"), ("./videos/x/../b.mp4", "videos/b.mp4"), ("videos/gone.mp4", "videos/gone.mp4")],
)
def test_other_videos_are_called_as_they_are_named(folder, named, key):
    (video,) = list_videos([named])
    assert (video.key, video.path) == (key, folder.parent / key)


def test_paths_from_elsewhere_stay_below_the_results(folder, monkeypatch):
    absolute = str(folder / "b.mp4").lstrip("/")
    assert keys(folder / "b.mp4") == [absolute]
    monkeypatch.chdir(folder / "x")
    assert keys("../b.mp4") == [absolute]


def test_a_list_names_videos_a_path_a_line_and_each_counts_once(folder, tmp_path):
    (tmp_path / "list.txt").write_text("videos/b.mp4\n\n  videos/gone.mp4 \nvideos/b.mp4\r\n")
    assert keys("list.txt", "videos/a.AVI") == ["videos/b.mp4", "videos/gone.mp4", "videos/a.AVI"]


@pytest.mark.parametrize(("name", "is_video"), [("img_1.png", True), ("cover.png", False)])
def test_a_folder_of_images_is_a_video_if_they_are_numbered(folder, name, is_video):
    (folder / "z").mkdir()
    (folder / "z" / name).touch()
    assert ("z" in keys(folder)) == is_video


def test_what_an_earlier_run_has_drawn_is_passed_over(folder):
    drawn = folder / "out" / "drawn"
    drawn.mkdir(parents=True)
    (drawn / "b.mp4.mp4").touch()
    assert "out/drawn/b.mp4.mp4" in keys(folder)
    videos = list_videos([str(folder), str(folder / "x")], drawn=drawn)
    assert [video.key for video in videos] == ["a.AVI", "b.mp4", "x/c.webm", "x/y", "c.webm", "y"]


def test_videos_of_one_name_are_told_from_others(folder):
    (folder / "x" / "b.avi").touch()
    shares = {video.key: video.shares_name for video in list_videos([str(folder)])}
    assert shares == {"a.AVI": False, "b.mp4": True, "x/b.avi": True, "x/c.webm": False, "x/y": False}


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize(
    ("call", "place", "named"),
    [
        ("stat", "b.mp4", "videos/b.mp4"),
        ("stat", "b.mp4", "videos"),
        ("stat", "x", "videos"),
        ("scandir", "x", "videos"),
    ],
)
def test_what_cannot_be_looked_at_is_no_video_that_is_not_there(folder, monkeypatch, number, call, place, named):
    real = getattr(os, call)

    def fail(path, **options):
        if str(path).endswith(f"videos/{place}"):
            raise OSError(number, os.strerror(number))
        return real(path, **options)

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(DataNotFoundError, match=rf"videos/{place}: cannot be looked at \({os.strerror(number)}\)"):
        list_videos([named])


def test_names_need_not_be_text(folder):
    name = os.fsdecode(b"caf\xe9.mp4")
    (folder / name).touch()
    (folder.parent / "list.txt").write_bytes(b"videos/caf\xe9.mp4\n")
    assert name in keys(folder)
    assert keys("list.txt") == [f"videos/{name}"]


def test_links_that_lead_back_are_followed_once(folder):
    (folder / "x" / "loop").symlink_to(folder)
    (folder / "nowhere.mp4").symlink_to(folder / "gone.mp4")
    (folder / "x" / "itself.mp4").symlink_to(folder / "x" / "itself.mp4")
    assert keys(folder) == ["a.AVI", "b.mp4", "nowhere.mp4", "x/c.webm", "x/itself.mp4", "x/y"]


@pytest.mark.parametrize(
    ("named", "error", "said"),
    [
        (["nothing"], ConfigError, "there are no videos; .* end with .avi"),
        (["empty.txt"], ConfigError, "there are no videos"),
        (["gone.txt"], DataNotFoundError, "gone.txt: this list of videos cannot be read"),
        (["videos", "other"], ConfigError, "would both have the result b.mp4"),
    ],
)
def test_what_cannot_be_listed_is_said(folder, tmp_path, named, error, said):
    (tmp_path / "nothing").mkdir()
    (tmp_path / "empty.txt").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.mp4").touch()
    with pytest.raises(error, match=said):
        list_videos(named)
