import numpy as np
import pytest

from stal.metrics import tube_overlap
from stal.metrics.protocol import VideoRules
from stal.metrics.tables import TubeTable
from stal.metrics.tube_overlap import overlap_of_pairs


def tubes(*frames: list[int]) -> TubeTable:
    """Tubes of one box that stays, on these frames."""
    lengths = [len(of_tube) for of_tube in frames]
    return TubeTable(
        np.zeros(len(frames), np.int64),
        np.zeros(len(frames), np.int64),
        np.ones(len(frames)),
        np.cumsum([0, *lengths]),
        np.concatenate([np.zeros(0, np.int64), *(np.array(of_tube) for of_tube in frames)]),
        np.tile(np.float32([0, 0, 2, 2]), (sum(lengths), 1)),
    )


@pytest.mark.parametrize(
    ("a", "b", "frame_sets", "first_to_last", "excluding_last"),
    [
        ([0, 1, 2], [0, 1, 2], 1, 1, 1),
        ([0, 1, 2, 3], [2, 3, 4, 5], 2 / 6, 2 / 6, 1 / 5),
        ([0, 1], [2, 3], 0, 0, 0),  # one begins where the other has ended
        ([0, 1], [1, 2], 1 / 3, 1 / 3, 0),  # one common frame
        ([4], [4], 1, 1, 0),  # tubes of one frame
        ([0, 5], [1, 2, 3], 0, 0, 0),  # one is in a gap of the other
        ([0, 1, 4, 5], [0, 1, 2, 3, 4, 5], 4 / 6, 1, 1),  # a gap counts as a set, but not in a span
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_overlap_in_time_by_hand(
    a: list[int], b: list[int], frame_sets: float, first_to_last: float, excluding_last: float, swapped: bool
) -> None:
    first, second = (b, a) if swapped else (a, b)
    for kind, expected in (
        ("frame_sets", frame_sets),
        ("first_to_last", first_to_last),
        ("excluding_last", excluding_last),
    ):
        rules = VideoRules(temporal_iou=kind)
        iou, spatial = overlap_of_pairs(tubes(first), np.array([0]), tubes(second), np.array([0]), rules)
        assert iou[0] == pytest.approx(expected), kind
        assert np.isnan(spatial[0]) == (not set(a) & set(b))


def test_many_pairs_are_compared_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    table = tubes(*(sorted(random.choice(12, random.integers(1, 12), replace=False).tolist()) for _ in range(9)))
    rows, others = (index.ravel() for index in np.indices((9, 9)))
    at_once = overlap_of_pairs(table, rows, table, others, VideoRules())
    for size in (1, 7, 40):
        monkeypatch.setattr(tube_overlap, "_BOXES_AT_ONCE", size)
        for found, expected in zip(overlap_of_pairs(table, rows, table, others, VideoRules()), at_once, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_without_pairs_there_is_nothing() -> None:
    none = np.zeros(0, np.int64)
    assert [len(values) for values in overlap_of_pairs(tubes(), none, tubes(), none, VideoRules())] == [0, 0]
