import numpy as np
import pytest

from stal.errors import VideoReadError
from stal.seeing import seen_video
from stal.seeing.seen_video import iterate_frames
from stal.structures import Video
from stal.visualize.files import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Video:
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    shade = np.linspace(20, 220, 23).astype(np.uint8)
    write_video(path, np.broadcast_to(shade[:, None, None, None], (23, 16, 32, 3)).copy(), fps=10.0)
    return Video("a", path, 23, 16, 32)


@pytest.mark.parametrize("frames_at_once", [1, 5, 23, 100])
def test_all_frames_come_in_order_however_many_are_read_at_once(video, frames_at_once, monkeypatch):
    monkeypatch.setattr(seen_video, "_CHUNK_BYTES", frames_at_once * 16 * 32 * 3)
    shades = [int(frame.mean()) for frame in iterate_frames(video)]
    assert len(shades) == 23
    assert np.abs(np.array(shades) - np.linspace(20, 220, 23)).max() <= 4


def test_frames_that_are_not_there_are_an_error(video):
    longer = Video("a", video.path, 40, 16, 32)
    with pytest.raises(VideoReadError, match=r"a\.mp4"):
        list(iterate_frames(longer))
