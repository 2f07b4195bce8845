import dataclasses
import itertools

import av
import numpy as np
import pytest

from stal.data.prepare import seekable_video
from stal.data.prepare.seekable_video import SeekableVideos
from stal.data.prepare.verification import verify_copy
from stal.data.video.frame_table import frame_table
from stal.data.video.reader import count_frames, frame_rule, read_frames, video_facts
from stal.errors import AnnotationError, ConfigError, VideoReadError

KINDS = (
    "closed.mp4", "b_frames.mp4", "b_frames.avi", "long_group.avi", "full_range.avi", "whole_colours.mkv", "odd.avi",
    "turned.mp4", "gap.mp4", "short.avi", "one_frame.mp4", "folder",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_copy_has_the_annotated_frames_and_is_quick_to_seek_in(sources, tmp_path, kind):
    video, out = sources[kind], tmp_path / "copy.mp4"
    SeekableVideos().write(video, out)
    table = frame_table(out)
    assert frame_rule(out, video.num_frames) == "order"
    assert (table.is_seekable, table.rotation, table.codec) == (True, 0, "h264")
    assert (table.height, table.width) == (video.height, video.width)
    assert table.key_frames.tolist() == list(range(0, video.num_frames, 12))
    assert len(np.unique(np.diff(table.times))) <= 1
    source = read_frames(video.path, range(video.num_frames), num_frames=video.num_frames)
    frames = read_frames(out, range(video.num_frames)).astype(int)
    assert np.abs(frames - source).mean() < 3
    for i, j in itertools.product(range(video.num_frames), repeat=2):
        if (source[i] != source[j]).any():
            assert np.abs(frames[i] - source[i]).sum() < np.abs(frames[i] - source[j]).sum()
    last = min(video.num_frames - 1, 17)
    np.testing.assert_array_equal(read_frames(out, [last])[0], frames[last])


def test_the_index_stands_first_and_sound_is_left_out(sources, tmp_path):
    SeekableVideos().write(sources["closed.mp4"], tmp_path / "copy.mp4")
    content = (tmp_path / "copy.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_colours_of_the_source_are_passed_on_as_they_are(sources, tmp_path):
    def mean_plane(path):
        with av.open(str(path)) as container:
            return np.mean([frame.to_ndarray().mean() for frame in container.decode(video=0)])

    video = sources["long_group.avi"]
    SeekableVideos(crf=1).write(video, tmp_path / "copy.mp4")
    assert abs(mean_plane(tmp_path / "copy.mp4") - mean_plane(video.path)) < 0.1


@pytest.mark.parametrize(("fps", "expected"), [(30000 / 1001, 30000 / 1001), (12.5, 12.5), (0.5, 0.5), (None, 25)])
def test_the_rate_is_the_annotated_one_or_else_that_of_the_file(sources, tmp_path, fps, expected):
    video = dataclasses.replace(sources["closed.mp4"], fps=fps)
    SeekableVideos().write(video, tmp_path / "copy.mp4")
    assert video_facts(tmp_path / "copy.mp4").fps == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_rate_that_no_video_has_is_an_error(sources, tmp_path, fps):
    with pytest.raises(AnnotationError, match="frames per second; correct them"):
        SeekableVideos().write(dataclasses.replace(sources["closed.mp4"], fps=fps), tmp_path / "copy.mp4")


def test_quality_and_groups_can_be_chosen(sources, tmp_path):
    for crf, group_size in ((24, 6), (10, 1)):
        SeekableVideos(crf, group_size).write(sources["folder"], tmp_path / f"{crf}.mp4")
    assert frame_table(tmp_path / "24.mp4").key_frames.tolist() == [0, 6, 12, 18, 24]
    assert (tmp_path / "24.mp4").stat().st_size < (tmp_path / "10.mp4").stat().st_size


@pytest.mark.parametrize("settings", [{"crf": -1}, {"crf": 52}, {"group_size": 0}])
def test_settings_that_cannot_work_are_errors(settings):
    with pytest.raises(ConfigError, match="the default is"):
        SeekableVideos(**settings)


def darken(frames):
    for frame in frames:
        array = frame.to_ndarray()
        yield av.VideoFrame.from_ndarray((array // 2).astype(np.uint8), format=frame.format.name)


FAULTS = {
    "drop": (lambda frames: itertools.chain(frames[:7], frames[8:]), "has a frame 7 that looks more like frame 8;"),
    "drop the first": (lambda frames: frames[1:], "has a frame 0 that looks more like frame 1;"),
    "drop the last": (lambda frames: frames[:-1], "has 29 frames, but 30 are annotated"),
    "duplicate": (lambda frames: [*frames[:7], frames[6], *frames[7:]], "has a frame 7 that looks more like frame 6;"),
    "duplicate the last": (lambda frames: [*frames, frames[-1]], "has a frame 30 that is beyond the 30 annotated ones"),
    "drop and hold": (
        lambda frames: [*frames[:7], *frames[8:], frames[-1]],
        "has a frame 7 that looks more like frame 8;",
    ),
    "swap": (
        lambda frames: [*frames[:6], frames[7], frames[6], *frames[8:]],
        "has a frame 6 that looks more like frame 7;",
    ),
    "one for all": (lambda frames: [frames[0]] * 30, "has a frame 1 that looks more like frame 0;"),
    "darken": (lambda frames: list(darken(frames)), r"differs too much in frame 0: \d+.\d dB, at least 30 are needed"),
    "reverse": (lambda frames: frames[::-1], "has a frame 0 that looks more like frame 1;"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_copy_with_other_frames_is_an_error_that_names_the_video_and_frame(sources, tmp_path, monkeypatch, fault):
    change, message = FAULTS[fault]
    frames_to_encode = seekable_video._frames_to_encode
    monkeypatch.setattr(
        seekable_video, "_frames_to_encode", lambda video: iter(list(change(list(frames_to_encode(video)))))
    )
    with pytest.raises(VideoReadError, match=rf"video closed: the copy of .*closed\.mp4 {message}"):
        SeekableVideos().write(sources["closed.mp4"], tmp_path / "copy.mp4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"bf": "3", "crf": "12"}}, "is a B frame"),
        ({"options": {"bf": "0", "g": "10", "crf": "12"}}, "in groups of 12"),
        ({"times": [*range(10), *range(12, 32)]}, "is shown at tick"),
        ({"size": (50, 64)}, "has 64 x 50 pixels, not 64 x 48"),
        ({"rotation": 180}, "has 64 x 48 pixels"),
    ],
)
def test_a_copy_of_another_kind_is_an_error(sources, write_video, tmp_path, arguments, message):
    copy = write_video(tmp_path / "copy.mp4", **arguments)
    with pytest.raises(VideoReadError, match=message):
        verify_copy(sources["closed.mp4"], copy, group_size=12)


@pytest.mark.parametrize("step", [1, 2, 3, 6])
def test_a_slow_fade_is_no_fault(annotate, tmp_path, step):
    """Encoders leave changes of a few levels out, so that a frame looks like the one before it."""
    slope = np.linspace(40, 120, 64)[None, :, None] + np.zeros((48, 1, 3))
    with av.open(str(tmp_path / "fade.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray((slope + step * index).astype(np.uint8))))
        container.mux(stream.encode())
    SeekableVideos().write(annotate(tmp_path / "fade.mkv", num_frames=20), tmp_path / "copy.mp4")
    assert count_frames(tmp_path / "copy.mp4") == 20


def test_a_video_without_motion_is_no_fault(annotate, write_video, tmp_path):
    still = write_video(tmp_path / "still.mp4", num_frames=1)
    picture = read_frames(still, [0] * 20)
    with av.open(str(tmp_path / "stills.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for image in picture:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    SeekableVideos().write(annotate(tmp_path / "stills.mkv", num_frames=20), tmp_path / "copy.mp4")
    assert count_frames(tmp_path / "copy.mp4") == 20
