import dataclasses
import sys

import numpy as np
import pytest

from stal.data.video import reader
from stal.data.video.frame_table import frame_table
from stal.data.video.reader import read_frames
from stal.errors import ConfigError, VideoReadError

READS = {
    "decord": ("closed.avi", "closed.mp4"),
    "torchcodec": ("closed.avi", "closed.mp4", "closed.mkv", "trimmed.mp4"),
}
REFUSES = {
    "decord": ("b_frames.avi", "b_frames.mp4", "closed.mkv", "trimmed.mp4"),
    "torchcodec": ("b_frames.avi", "b_frames.mp4", "trimmed_b_frames.mp4"),
}


@pytest.fixture(params=READS)
def backend(request):
    """The name of each optional backend, where its library loads."""
    try:
        __import__("decord" if request.param == "decord" else "torchcodec.decoders")
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"{request.param} does not load: {str(error).splitlines()[:1]}")
    return request.param


def test_a_backend_reads_the_files_that_it_reads_right(videos, numbers, backend):
    for name in READS[backend]:
        frames = read_frames(videos / name, [30, 2, 39, 2], backend=backend)
        assert numbers(frames) == [30, 2, 39, 2]
        expected = read_frames(videos / name, [30, 2, 39, 2])
        assert np.abs(frames.astype(int) - expected).max() <= 2


def test_a_backend_refuses_other_files(videos, backend):
    for name in REFUSES[backend]:
        with pytest.raises(VideoReadError, match=rf"{name}: {backend} may return wrong frames.*backend='pyav'"):
            read_frames(videos / name, [0], backend=backend)


def test_a_backend_that_takes_another_stream_is_noticed_by_its_size(videos, backend, monkeypatch):
    table = dataclasses.replace(frame_table(videos / "closed.mp4"), height=24, width=32)
    monkeypatch.setattr(reader, "frame_table", lambda path: table)
    with pytest.raises(VideoReadError, match=rf"closed.mp4: {backend} gives frames of 64 x 48 pixels, not 32 x 24"):
        read_frames(videos / "closed.mp4", [3], backend=backend)


def test_a_folder_of_frames_needs_no_backend(videos, numbers, backend):
    assert numbers(read_frames(videos / "folder", [3], backend=backend)) == [3]


@pytest.mark.parametrize(("backend", "module"), [("decord", "decord"), ("torchcodec", "torchcodec.decoders")])
def test_a_backend_is_needed_only_where_it_is_asked_for(videos, numbers, monkeypatch, backend, module):
    monkeypatch.setitem(sys.modules, module, None)
    assert numbers(read_frames(videos / "closed.avi", [3])) == [3]
    with pytest.raises(ConfigError, match=f"pip install {backend}"):
        read_frames(videos / "closed.avi", [3], backend=backend)
