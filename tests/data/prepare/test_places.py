from pathlib import Path, PurePosixPath

import pytest

from stal.data.prepare.places import choose_places
from stal.errors import AnnotationError, ConfigError
from stal.structures import Video


def videos(*keys, root="/data/videos"):
    return [Video(key, Path(root, f"{number}.avi"), 9, 8, 8) for number, key in enumerate(keys)]


def place_of(key):
    return PurePosixPath("videos", f"{key}.mp4")


def test_copies_are_named_by_keys_whatever_those_contain():
    keys = ("Walk/a (1)!@+ b", "c.avi", "d/..e", "f//g", "./h")
    places = choose_places(videos(*keys), Path("/out"), place_of)
    names = ("Walk/a (1)!@+ b.mp4", "c.avi.mp4", "d/..e.mp4", "f/g.mp4", "h.mp4")
    assert places == {key: Path("/out/videos", name) for key, name in zip(keys, names, strict=True)}


@pytest.mark.parametrize("key", ["../a", "a/../../b", "/etc/a", "..", "", ".", "a\0b"])
def test_a_key_that_leads_out_of_the_folder_is_an_error(key):
    with pytest.raises(AnnotationError, match="leads out of its folder"):
        choose_places(videos(key), Path("/out"), place_of)


@pytest.mark.parametrize("keys", [("a/b", "a//b"), ("a", "./a")])
def test_two_keys_of_one_place_are_an_error(keys):
    with pytest.raises(AnnotationError, match="would both be copied to"):
        choose_places(videos(*keys), Path("/out"), place_of)


def test_a_key_within_another_is_an_error_for_folders():
    with pytest.raises(AnnotationError, match="'a/b' would be copied into the copy of video 'a'"):
        choose_places(videos("a/b", "a"), Path("/out"), lambda key: PurePosixPath("frames", key))
    choose_places(videos("a/b", "a"), Path("/out"), place_of)


@pytest.mark.parametrize("out", ["/data/videos", "/data/videos/out", "/data/videos/Walk", "/data/videos/Walk/out"])
def test_copies_are_kept_out_of_the_folder_of_the_videos(out):
    video = Video("Walk/a", Path("/data/videos/Walk/a.avi"), 9, 8, 8)
    with pytest.raises(ConfigError, match="is inside of the folder of the videos, /data/videos;"):
        choose_places([video], Path(out), place_of)


def test_copies_are_kept_away_from_a_source_whose_path_is_not_its_key():
    video = Video("Walk/a", Path("/data/17.avi"), 9, 8, 8)
    with pytest.raises(ConfigError, match="is inside of the folder of the videos, /data;"):
        choose_places([video], Path("/data/out"), place_of)


@pytest.mark.parametrize("out", ["/data", "/"])
def test_a_folder_that_holds_the_videos_is_an_error(out):
    with pytest.raises(ConfigError, match="holds video a itself"):
        choose_places(videos("a"), Path(out), place_of)


def test_a_folder_beside_that_of_the_videos_is_fine():
    places = choose_places(videos("a"), Path("/data/videos_mp4"), place_of)
    assert list(places) == ["a"]
    assert places["a"].is_relative_to("/data/videos_mp4")
