import dataclasses

import numpy as np
import pytest

from stal.data.prepare.all_frames import iterate_frames
from stal.data.video.reader import read_frames
from stal.errors import AnnotationError, DataNotFoundError, VideoReadError

KINDS = (
    "closed.mp4", "b_frames.mp4", "b_frames.avi", "long_group.avi", "full_range.avi", "whole_colours.mkv", "odd.avi",
    "turned.mp4", "gap.mp4", "short.avi", "one_frame.mp4", "folder",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_those_that_the_reader_gives(sources, kind):
    video = sources[kind]
    expected = read_frames(video.path, range(video.num_frames), num_frames=video.num_frames)
    np.testing.assert_array_equal(np.stack(list(iterate_frames(video))), expected)


def test_frames_that_are_missing_are_held(sources, numbers):
    gap, short = (numbers(np.stack(list(iterate_frames(sources[kind])))) for kind in ("gap.mp4", "short.avi"))
    assert gap == [*range(10), 9, 9, 9, *range(10, 30)]
    assert short == [*range(30), 29, 29]


def test_frames_are_decoded_one_by_one(sources, monkeypatch):
    frames = iterate_frames(sources["folder"])
    next(frames)
    monkeypatch.setattr("stal.data.video.stream.read_folder", None)
    with pytest.raises(TypeError):
        next(frames)


@pytest.mark.parametrize("kind", ["closed.mp4", "turned.mp4", "folder"])
def test_another_size_than_annotated_is_an_error_with_both(sources, kind):
    video = dataclasses.replace(sources[kind], height=50, width=70)
    with pytest.raises(AnnotationError, match=f"{kind} have (64 x 48|48 x 64) pixels, but 70 x 50 are annotated"):
        next(iterate_frames(video))


def test_another_number_of_frames_than_annotated_is_an_error(sources):
    with pytest.raises(VideoReadError, match="30 frames decode, but 40 are annotated"):
        next(iterate_frames(dataclasses.replace(sources["closed.mp4"], num_frames=40)))


def test_a_video_that_is_not_there_is_an_error(annotate, tmp_path):
    with pytest.raises(DataNotFoundError, match="there is no such video"):
        next(iterate_frames(annotate(tmp_path / "a.mp4")))
