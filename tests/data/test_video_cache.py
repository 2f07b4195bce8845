import numpy as np
import pytest

from stal.data.video.time_limit import time_limit
from stal.data.video_cache import VideoCache
from stal.errors import VideoReadError

NUM_FRAMES = 9


class Reader:
    """A video whose frame i is i; some cannot be read. It notes every read."""

    def __init__(self, *broken):
        self.broken = set(broken)
        self.reads = []

    def __call__(self, indices):
        self.reads.append(indices.tolist())
        if self.broken & set(indices.tolist()):
            raise VideoReadError("v.avi: broken")
        return indices.astype(np.uint8)


def read(cache, reader, *indices, key="v", num_bytes=NUM_FRAMES):
    return cache.read(key, num_bytes, NUM_FRAMES, np.array(indices), reader).tolist()


def test_a_video_that_fits_is_read_once_as_a_whole():
    cache, reader = VideoCache(NUM_FRAMES), Reader()
    assert read(cache, reader, 3, 1) == [3, 1]
    assert read(cache, reader, 5, 5) == [5, 5]
    assert reader.reads == [list(range(NUM_FRAMES))]


@pytest.mark.parametrize("num_bytes", [0, NUM_FRAMES - 1, NUM_FRAMES])
def test_which_frames_can_be_read_does_not_depend_on_the_budget(num_bytes):
    cache, reader = VideoCache(num_bytes), Reader(7)
    for _ in range(2):
        assert read(cache, reader, 3, 1) == [3, 1]
        with pytest.raises(VideoReadError):
            read(cache, reader, 6, 7)


def test_a_whole_that_cannot_be_read_is_tried_once_and_takes_no_memory():
    cache, reader = VideoCache(NUM_FRAMES), Reader(7)
    for _ in range(3):
        assert read(cache, reader, 2) == [2]
    assert reader.reads == [list(range(NUM_FRAMES)), [2], [2], [2]]
    sound = Reader()
    assert [read(cache, sound, 2, key="w") for _ in range(2)] == [[2], [2]]
    assert len(sound.reads) == 1


def test_a_whole_that_takes_too_long_is_tried_once():
    cache, reads = VideoCache(NUM_FRAMES), []

    def read_slowly(indices):
        reads.append(len(indices))
        while len(indices) == NUM_FRAMES:
            pass
        return indices

    with pytest.raises(VideoReadError, match="longer than"), time_limit(0.05, "v.avi"):
        read(cache, read_slowly, 4)
    assert read(cache, read_slowly, 4) == [4]
    assert reads == [NUM_FRAMES, 1]
