import dataclasses

import numpy as np
import pytest

from stal.data.video.frame_table import FrameTable
from stal.data.video.mapping import map_frames
from stal.errors import VideoReadError

TABLE = FrameTable(
    times=np.arange(3),
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
    seconds_per_tick=0.04,
    num_damaged=0,
    num_sound=3,
    failure=None,
)


def table_of(times, num_sound=None, **changes):
    num_sound = len(times) if num_sound is None else num_sound
    return dataclasses.replace(TABLE, times=np.array(times, np.int64), num_sound=num_sound, **changes)


@pytest.mark.parametrize("damaged", ["error", "keep"])
@pytest.mark.parametrize(
    ("times", "num_frames", "rule", "ordinals", "num_readable"),
    [
        ([0, 1, 2], 3, "order", [0, 1, 2], 3),
        ([0], 1, "order", [0], 1),
        ([2, 0, 1], 3, "order", [0, 1, 2], 3),
        ([0, 1, 4, 5], 6, "time", [0, 1, 1, 1, 2, 3], 6),
        ([500, 1000, 2000], 4, "time", [0, 1, 1, 2], 4),
        ([0, 1, 2], 4, "clamp", [0, 1, 2, 2], 3),
        ([0, 1, 2], 5, "clamp", [0, 1, 2, 2, 2], 3),
        ([0], 3, "clamp", [0, 0, 0], 1),
        ([0, 2, 1], 4, "clamp", [0, 1, 2, 2], 3),
        ([0, 33, 40, 90, 100], 6, "clamp", [0, 1, 2, 3, 4, 4], 5),  # no fixed rate
    ],
)
def test_annotated_frames_map_to_decoded_ones(tmp_path, times, num_frames, rule, ordinals, num_readable, damaged):
    found = map_frames(table_of(times), num_frames, tmp_path, damaged)
    assert (found.rule, found.ordinals.tolist(), found.num_readable) == (rule, ordinals, num_readable)


LOST_AT_20 = [*range(0, 667, 33), *range(733, 1400, 33)]  # milliseconds: 21 frames, one is missing, 21 frames
CUTS = {
    "cut off": (table_of(range(9)), 20, 8),
    "cut off in a damaged frame": (table_of(range(9), num_sound=8), 20, 7),
    "data lost in the middle": (table_of(range(19), num_sound=9), 20, 8),
    "a frame lost in the middle, by the times": (table_of(LOST_AT_20), 43, 20),
    "the times span what is annotated, but the file is damaged": (table_of([0, 1, 2, 5, 6], num_sound=3), 7, 2),
    "stored in another order": (table_of([*range(0, 40, 2), *range(1, 40, 2)], has_b_frames=True), 50, 24),
}


@pytest.mark.parametrize(("table", "num_frames", "num_readable"), CUTS.values(), ids=CUTS)
def test_a_damaged_video_is_an_error_or_is_cut_where_frames_become_unsure(tmp_path, table, num_frames, num_readable):
    with pytest.raises(VideoReadError, match=f"a.avi: {len(table)} frames decode, but {num_frames} are annotated"):
        map_frames(table, num_frames, tmp_path / "a.avi")
    found = map_frames(table, num_frames, tmp_path, "keep")
    assert (found.rule, found.num_readable) == ("cut", num_readable)
    assert found.ordinals.tolist() == [*range(num_readable), *[num_readable - 1] * (num_frames - num_readable)]


@pytest.mark.parametrize(("times", "num_frames"), [([0, 1, 2], 6), ([0, 1, 2], 2), ([0, 1, 7], 6), ([0, 2, 1], 6)])
def test_frames_that_no_rule_explains_are_an_error_with_both_counts(tmp_path, times, num_frames):
    with pytest.raises(VideoReadError, match=f"a.avi: {len(times)} frames decode, but {num_frames} are annotated"):
        map_frames(table_of(times), num_frames, tmp_path / "a.avi")


@pytest.mark.parametrize(
    ("table", "num_frames"),
    [
        (table_of(range(7)), 6),
        (table_of([0]), 9),
        (table_of(range(5), num_sound=0, num_damaged=5), 6),
        (table_of([0], num_sound=0), 2),
        (table_of(range(9), has_b_frames=True, num_sound=3), 20),
    ],
    ids=["more than annotated", "the only frame", "none sound", "the only one is not sound", "none behind the margin"],
)
def test_a_video_of_which_no_frame_is_sure_is_an_error_even_if_damage_is_kept(tmp_path, table, num_frames):
    with pytest.raises(VideoReadError, match=f"a.avi: {len(table)} frames? decode, but {num_frames} are annotated"):
        map_frames(table, num_frames, tmp_path / "a.avi", "keep")
