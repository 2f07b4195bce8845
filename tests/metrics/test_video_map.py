from pathlib import Path

import numpy as np
import pytest

from stal.errors import StalError
from stal.metrics.video_map import video_map
from stal.structures import Tube, Video

ACTOR = (10, 10, 50, 90)


def tube(frames: range | list[int], score: float | None = None, label: int = 0, id: int = 0) -> Tube:
    return Tube(label, np.array(frames), np.tile(np.array(ACTOR, np.float32), (len(frames), 1)), id=id, score=score)


VIDEO = Video("v", Path("v.avi"), 20, 100, 100, tubes=(tube(range(10)),))


def test_ground_truth_as_tubes_gives_1() -> None:
    assert video_map([VIDEO], {"v": [tube(range(10), 0.3)]}, 1, 1.0).mean == 1


@pytest.mark.parametrize("nothing", [{}, {"v": []}])
def test_no_tubes_give_0(nothing: dict[str, list[Tube]]) -> None:
    assert video_map([VIDEO], nothing, 1).mean == 0


@pytest.mark.parametrize(("threshold", "expected"), [(0.6, 1), (0.65, 0)])
def test_an_exact_overlap_of_six_tenths(threshold: float, expected: float) -> None:
    assert video_map([VIDEO], {"v": [tube(range(6), 0.3)]}, 1, threshold).mean == expected


def test_a_gap_is_not_covered() -> None:
    gapped = {"v": [tube([0, 1, 2, 7, 8, 9], 0.3)]}
    assert video_map([VIDEO], gapped, 1, 0.6).mean == 1
    assert video_map([VIDEO], gapped, 1, 0.65).mean == 0


def test_a_duplicate_is_a_false_positive() -> None:
    other = Video("w", Path("w.avi"), 20, 100, 100, tubes=(tube(range(10)),))
    found = {"v": [tube(range(10), 0.9), tube(range(10), 0.8, id=1)], "w": [tube(range(10), 0.7)]}
    assert video_map([VIDEO, other], found, 1).mean == pytest.approx(5 / 6)


def test_a_copy_of_an_annotated_tube_is_never_hit() -> None:
    twice = Video("v", Path("v.avi"), 20, 100, 100, tubes=(tube(range(10)), tube(range(10), id=1)))
    assert video_map([twice], {"v": [tube(range(10), 0.9), tube(range(10), 0.8, id=1)]}, 1).mean == 0.5


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"x": []}, "unknown videos, first 'x'"),
        ({"v": [tube([0], 0.5, label=1)]}, "class 1 is outside 0 to 0"),
        ({"v": [tube([19, 20], 0.5)]}, "frame 20 is outside 0 to 19"),
        ({"v": [tube([0])]}, "tube 0 has score None"),
        ({"v": [tube([0], float("nan"))]}, "tube 0 has score nan"),
    ],
)
def test_tubes_that_cannot_be_scored_are_refused(found: dict[str, list[Tube]], message: str) -> None:
    with pytest.raises(StalError, match=message):
        video_map([VIDEO], found, 1)
