"""Keys of videos, and the files that they name."""

from pathlib import Path

import pytest

from stal.data.find_videos import find_videos, video_key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.mp4", "a"),
        ("Biking/v_1.AVI", "Biking/v_1"),
        ("a.mp4.mp4", "a.mp4"),
        ("a.b", "a.b"),
        ("folder", "folder"),
        (".mp4", ".mp4"),
        ("", ""),
    ],
)
def test_a_key_is_the_name_without_the_suffix_of_a_video(name: str, key: str) -> None:
    assert video_key(name) == key


def test_a_video_is_found_by_its_key_and_by_its_name(tmp_path: Path) -> None:
    for name in ("A/a.mkv", "A/a.avi", "A/a.txt", "A/b/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_videos(tmp_path, ["A/a", "A/a.mkv", "A/b", "A/c", "B/a"])
    assert found == {"A/a": tmp_path / "A/a.avi", "A/a.mkv": tmp_path / "A/a.mkv", "A/b": tmp_path / "A/b"}
