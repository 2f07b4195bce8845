import numpy as np
import pytest

from stal.data.prepare.frame_folders import FrameFolders, remove_frames
from stal.data.video.reader import frame_rule, read_frames
from stal.errors import ConfigError


@pytest.mark.parametrize("kind", ["b_frames.avi", "odd.avi", "turned.mp4", "gap.mp4", "short.avi", "folder"])
@pytest.mark.parametrize(("quality", "suffix"), [(95, ".jpg"), (None, ".png")])
def test_the_annotated_frames_become_images(sources, tmp_path, kind, quality, suffix):
    video, out = sources[kind], tmp_path / "frames"
    FrameFolders(quality).write(video, out)
    assert sorted(path.name for path in out.iterdir()) == [f"{i:05d}{suffix}" for i in range(1, video.num_frames + 1)]
    assert frame_rule(out, video.num_frames) == "order"
    source = read_frames(video.path, range(video.num_frames), num_frames=video.num_frames)
    difference = np.abs(read_frames(out, range(video.num_frames)).astype(int) - source)
    assert difference.mean() < 4 if quality else difference.max() == 0


def test_a_better_quality_takes_more_bytes(sources, tmp_path):
    for quality in (40, 95):
        FrameFolders(quality).write(sources["folder"], tmp_path / str(quality))
    assert (tmp_path / "40/00003.jpg").stat().st_size < (tmp_path / "95/00003.jpg").stat().st_size


@pytest.mark.parametrize("quality", [0, 101, -1])
def test_a_quality_that_jpeg_has_not_is_an_error(quality):
    with pytest.raises(ConfigError, match=f"quality {quality}: that of JPEG is 1 to 100"):
        FrameFolders(quality)


def test_a_folder_with_other_files_is_not_removed(tmp_path):
    for name in ("00001.jpg", "notes.txt", "cover.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(OSError, match="not empty"):
        remove_frames(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "cover.jpg"}
