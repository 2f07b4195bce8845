import dataclasses

import av
import numpy as np
import pytest
from av.stream import Disposition

from stal.data.video import frame_table as module
from stal.data.video import pyav_backend
from stal.data.video.av_file import NO_TIME
from stal.data.video.frame_table import FrameTable, frame_table
from stal.data.video.reader import read_frames

KINDS = (
    "closed.mp4",
    "b_frames.mp4",
    "closed.mkv",
    "closed.avi",
    "b_frames.avi",
    "trimmed.mp4",
    "trimmed_b_frames.mp4",
)


@pytest.mark.parametrize("name", KINDS)
def test_only_files_without_b_frames_are_sought_in(videos, name):
    table = frame_table(videos / name)
    assert table.is_seekable is table.torchcodec_is_exact is ("b_frames" not in name)
    assert table.decord_is_exact is (name in ("closed.mp4", "closed.avi"))
    assert table.key_frames[:3].tolist() == ([7, 19, 31] if name.startswith("trimmed") else [0, 12, 24])
    assert table.num_trimmed == (5 if name.startswith("trimmed") else 0)
    assert table.damage is None
    assert table.num_sound == len(table) == 40


def test_a_seek_starts_at_the_key_frame_before_the_first_frame_wanted(videos, monkeypatch):
    starts = []
    decode_pass = pyav_backend._decode_pass

    def spy(path, table, ordinals, start):
        starts.append(start)
        return decode_pass(path, table, ordinals, start)

    monkeypatch.setattr(pyav_backend, "_decode_pass", spy)
    for indices in ([26, 38], [24], [23], [3]):
        read_frames(videos / "closed.avi", indices)
    read_frames(videos / "b_frames.avi", [26])
    assert starts == [24, 24, 12, 0, 0]
    starts.clear()
    for indices in ([5, 30], [7], [38]):
        read_frames(videos / "trimmed.mp4", indices)
    assert starts == [0, 7, 31]


def test_a_seek_that_lands_elsewhere_is_noticed_and_decoded_from_the_start(videos, numbers):
    table = dataclasses.replace(frame_table(videos / "closed.avi"), key_frames=np.arange(40))
    assert numbers(pyav_backend.decode(videos / "closed.avi", table, np.array([20, 30]))) == [20, 30]


@pytest.mark.parametrize("name", KINDS)
def test_a_table_comes_back_from_bytes(videos, name):
    table = frame_table(videos / name)
    copy = FrameTable.from_bytes(table.to_bytes())
    for field in dataclasses.fields(FrameTable):
        np.testing.assert_array_equal(getattr(copy, field.name), getattr(table, field.name))
    assert copy.times.dtype == copy.key_frames.dtype == np.int64


def test_a_table_is_built_once_for_all_processes(videos, monkeypatch):
    builds = []
    build = module._build_table
    monkeypatch.setattr(module, "_build_table", lambda path: builds.append(path.name) or build(path))
    monkeypatch.setenv("STAL_CACHE", str(videos / "tables"))
    for _ in range(2):
        module._kept_table.cache_clear()  # as in another process
        for name in ("closed.avi", "closed.mp4", "closed.avi"):
            assert len(frame_table(videos / name)) == 40
    assert builds == ["closed.avi", "closed.mp4"]


def test_damage_is_logged_whether_a_table_is_built_or_loaded(videos, avi_chunks, tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("STAL_CACHE", str(tmp_path / "tables"))
    content = bytearray((videos / "closed.avi").read_bytes())
    start = avi_chunks(content)[12]
    content[start + 70 : start + 90] = b"\xff" * 20
    path = tmp_path / "damaged.avi"
    path.write_bytes(content)
    for _ in range(2):
        module._kept_table.cache_clear()
        caplog.clear()
        table = frame_table(path)
        assert (table.num_damaged, table.num_sound) == (1, 12)
        assert "damaged.avi: 1 of its 40 frames are damaged, data is broken or missing at frame 12" in caplog.text
    assert not table.is_seekable
    assert not table.decord_is_exact
    assert not table.torchcodec_is_exact


def test_lost_data_is_noticed_where_no_frame_is_damaged(videos, avi_chunks, tmp_path):
    content = (videos / "closed.avi").read_bytes()
    chunks = avi_chunks(content)
    path = tmp_path / "lost.avi"
    path.write_bytes(content[: chunks[12]] + bytes(chunks[24] - chunks[12]) + content[chunks[24] :])
    table = frame_table(path)
    assert (len(table), table.num_damaged, table.num_sound) == (28, 0, 11)
    assert not table.is_seekable  # the index has frame 24 at another time than its place among those that decode


@pytest.mark.parametrize(
    ("times", "rise"),
    [
        ([0, 1, 5], True),
        ([0], True),
        ([0, 1, 1], False),
        ([0, 2, 1], False),
        ([NO_TIME, 1], False),
        ([5, NO_TIME], False),
    ],
)
def test_times_rise_where_each_is_later(videos, times, rise):
    table = dataclasses.replace(frame_table(videos / "closed.avi"), times=np.array(times), num_sound=len(times))
    assert table.has_rising_times is table.is_seekable is rise


def test_a_decoder_that_tells_no_kinds_of_frames_is_believed_but_not_sought_with(tmp_path, write_video, decode_all):
    path = write_video(tmp_path / "animation.mov", "qtrle", {"g": "12"}, pixel_format="rgb24")
    table = frame_table(path)
    assert (table.damage, table.num_sound) == (None, 40)
    assert table.key_frames.tolist() == []
    np.testing.assert_array_equal(read_frames(path, [26, 3, 39]), decode_all(path)[[26, 3, 39]])


def test_a_video_that_does_not_start_with_a_key_frame_is_not_sure(tmp_path, videos):
    path = tmp_path / "headless.mkv"
    with av.open(str(videos / "closed.avi")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux(video=0) if packet.size][2:]:
            packet.stream = stream
            target.mux(packet)
    assert frame_table(path).num_sound == 0
    assert not frame_table(path).is_seekable


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_files_with_two_videos_are_for_pyav_alone(tmp_path, write_video, suffix, numbers):
    path = write_video(tmp_path / f"two.{suffix}", "libx264", {"bf": "0", "g": "12"}, num_streams=2)
    table = frame_table(path)
    assert table.num_video_streams == 2
    assert table.is_seekable
    assert not table.decord_is_exact
    assert not table.torchcodec_is_exact
    assert numbers(read_frames(path, [30, 2])) == [30, 2]


def test_a_cover_picture_is_no_second_video(tmp_path, videos):
    path = tmp_path / "cover.mp4"
    with av.open(str(videos / "closed.mp4")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        cover = target.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt, cover.disposition = 64, 48, "rgb24", Disposition.attached_pic
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
        target.mux(cover.encode(av.VideoFrame(64, 48, "rgb24")))
        target.mux(cover.encode())
    table = frame_table(path)
    assert (len(table), table.num_video_streams, table.decord_is_exact) == (40, 1, True)


def test_interlaced_files_are_for_pyav_alone(tmp_path, write_video):
    options = {"bf": "0", "g": "12", "flags": "+ildct+ilme", "x264-params": "tff=1"}
    table = frame_table(write_video(tmp_path / "interlaced.mp4", "libx264", options))
    assert table.is_interlaced
    assert table.is_seekable
    assert not table.decord_is_exact
    assert not table.torchcodec_is_exact
