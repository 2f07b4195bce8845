"""Points in time become frames, by the times that the frames of a video have."""

from pathlib import Path

import numpy as np
import pytest

from stal.data.video import clock
from stal.data.video.av_file import NO_TIME
from stal.data.video.clock import MAX_FRAME
from stal.data.video.frame_table import FrameTable
from stal.data.video.mapping import map_frames
from stal.data.video.reader import frames_at, read_frames, video_facts
from stal.errors import VideoReadError


def table_of(times: list[int], seconds_per_tick: float | None = 0.001, num_damaged: int = 0) -> FrameTable:
    return FrameTable(
        times=np.array(times, np.int64),
        key_frames=np.zeros(1, np.int64),
        height=48,
        width=64,
        rotation=0,
        container="avi",
        codec="mpeg4",
        pixel_format="yuv420p",
        has_b_frames=False,
        packets_are_frames=True,
        num_trimmed=0,
        num_video_streams=1,
        is_interlaced=False,
        fps=25.0,
        seconds_per_tick=seconds_per_tick,
        num_damaged=num_damaged,
        num_sound=len(times),
        failure=None,
    )


@pytest.mark.parametrize(
    ("times", "milliseconds", "frames", "num_frames"),
    [
        ([0, 40, 80], [0, 39, 39.5, 40, 41, 119], [0, 0, 1, 1, 1, 2], 3),
        ([5000, 5040, 5080], [0, 40], [0, 1], 3),  # seconds count from the first frame on
        ([0, 40, 120, 160], [40, 80, 119, 120, 160], [1, 2, 2, 3, 4], 5),  # a packet decodes to nothing
        ([0, 33, 67, 100, 133], [32, 33, 66.7, 100, 134], [0, 1, 2, 3, 4], 5),  # rounded times
        ([0, 5, 38, 58, 178], [4, 5, 37, 38, 57, 100, 200], [0, 1, 1, 2, 2, 3, 4], 5),  # no fixed rate
        ([0, 80, 40, 160, 120], [0, 40, 120, 160], [0, 1, 3, 4], 5),  # an avi with B-frames
        ([0, 40, 80], [120, 200, -1, 1e30], [3, 5, -1, MAX_FRAME], 3),  # not in the video
        ([0, 5, 38, 58, 178], [297, 299, 1e30], [4, 5, MAX_FRAME], 5),
    ],
)
def test_the_frame_at_a_time_is_the_last_that_has_begun(
    times: list[int], milliseconds: list[float], frames: list[int], num_frames: int
) -> None:
    table = table_of(times)
    found, length = clock.frames_at(table, np.array(milliseconds) / 1000, None, Path("a.avi"))
    assert (found.tolist(), length) == (frames, num_frames)
    assert map_frames(table, length, Path("a.avi")).rule == ("order" if length == len(times) else "time")


def test_gaps_of_a_damaged_video_are_not_counted() -> None:
    found, length = clock.frames_at(table_of([0, 40, 120, 160], num_damaged=1), np.array([0.08, 0.12]), None, Path("a"))
    assert (found.tolist(), length) == ([1, 2], 4)


UNUSABLE = [
    table_of([0, 1, 2], seconds_per_tick=None),
    table_of([0, NO_TIME, 80]),
    table_of([0, 0, 40]),
    table_of([0, 80, 40, 200]),
]


@pytest.mark.parametrize("table", UNUSABLE, ids=["folder", "a frame without time", "equal", "not rising"])
def test_without_rising_times_the_rate_is_needed(table: FrameTable) -> None:
    with pytest.raises(VideoReadError, match=r"a\.avi: its frames have no rising times.*--fps"):
        clock.frames_at(table, np.array([0.04]), None, Path("a.avi"))
    found, length = clock.frames_at(table, np.array([0.04, 0.079]), 25.0, Path("a.avi"))
    assert (found.tolist(), length) == ([1, 1], len(table))


def test_a_single_frame_lasts_for_what_the_file_says() -> None:
    found, length = clock.frames_at(table_of([7]), np.array([0, 0.03, 0.04]), None, Path("a.avi"))
    assert (found.tolist(), length) == ([0, 0, 1], 1)


@pytest.mark.parametrize(
    ("times", "num_slots"),
    [([0, 1, 2], 3), ([0, 1, 2, 4, 5], 6), ([0, 33, 67, 100], 4), ([0, 2, 1], 3), ([7], 1), ([0, 5, 25], 3)],
)
def test_slots_are_counted_at_a_fixed_rate_only(times: list[int], num_slots: int) -> None:
    assert clock.count_slots(table_of(times)) == num_slots


@pytest.mark.parametrize("name", ["closed.mp4", "b_frames.mp4", "closed.mkv", "closed.avi", "b_frames.avi"])
def test_the_middle_of_every_frame_shows_it(videos: Path, name: str) -> None:
    frames, num_frames = frames_at(videos / name, (np.arange(40) + 0.5) / 25)
    assert (frames.tolist(), num_frames) == ([*range(40)], 40)
    assert video_facts(videos / name).num_slots == 40


def test_frames_at_times_show_what_plays_then(write_video, numbers, tmp_path: Path) -> None:
    gaps = write_video(tmp_path / "gaps.mkv", "ffv1", num_frames=10, times=[0, 1, 2, 3, 6, 7, 8, 9, 10, 11])
    varying = write_video(tmp_path / "varying.mkv", "ffv1", num_frames=5, times=[0, 1, 5, 7, 20])
    for path, seconds, shown in (
        (gaps, [0.13, 0.2, 0.25], [3, 3, 4]),
        (varying, [0.05, 0.19, 0.21, 0.5, 0.81], [1, 1, 2, 3, 4]),
    ):
        frames, num_frames = frames_at(path, np.array(seconds))
        assert numbers(read_frames(path, frames, num_frames=num_frames)) == shown
