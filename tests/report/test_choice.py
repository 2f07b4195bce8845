"""Which detections are shown, and how far scores fall on other scenes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stal.metrics.protocol import VOC
from stal.metrics.tables import make_tables
from stal.report.choice import Choice, best_rows, counterpart, rows_by_drop, take, what_is_wrong, worst_rows
from stal.report.scene_copies import mean_drops
from stal.report.scored_set import ScoredSet
from stal.report.tables import MAX_TUBES, tube_table
from stal.structures import Annotations, Tube, Video

CLASSES = ("run", "jump", "swim")
FRAMES = np.arange(20)


def tube(label: int, left: float, score: float | None = None, id: int = 0, frames: np.ndarray = FRAMES) -> Tube:
    boxes = np.tile(np.array([left, 10, left + 40, 90], np.float32), (len(frames), 1))
    return Tube(label, frames, boxes, id=id, score=score)


def scored_set(videos: dict[str, Sequence[Tube]], found: dict[str, Sequence[Tube]]) -> ScoredSet:
    annotated = tuple(Video(key, Path(key), 40, 240, 320, tubes=tuple(tubes)) for key, tubes in videos.items())
    tables = make_tables(annotated, len(CLASSES), tubes=found)
    return ScoredSet(Path("detections.npz"), Annotations(CLASSES, annotated), tables, VOC)


@pytest.fixture
def scored() -> ScoredSet:
    truth = {"a": [tube(0, 0), tube(1, 100, id=1)], "b": [tube(1, 0)], "c": []}
    found = {
        "a": [tube(0, 2, 0.9), tube(0, 4, 0.8), tube(1, 125, 0.7)],  # right, its duplicate, too far off
        "b": [tube(1, 0, 0.6), tube(0, 1, 0.95)],  # right, of another class
        "c": [tube(2, 0, 0.2)],  # nothing is there
    }
    return scored_set(truth, found)


def scores_of(scored: ScoredSet, rows: list[int]) -> list[float]:
    return [scored.tables.tubes.scores[row] for row in rows]


def test_the_best_are_right_and_the_worst_wrong_surest_first(scored):
    assert scores_of(scored, best_rows(scored)) == [0.9, 0.6]
    assert scores_of(scored, worst_rows(scored)) == [0.95, 0.7, 0.2]  # without the duplicate


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.9, "right"),
        (0.8, "a second tube"),
        (0.7, "overlaps the tube of its class by 0.23 only"),
        (0.95, "the actor does jump"),
        (0.2, "nothing of its class"),
    ],
)
def test_what_is_wrong_is_said_in_words(scored, score, text):
    (row,) = np.flatnonzero(scored.tables.tubes.scores == score)
    assert text in what_is_wrong(scored, int(row))


def test_a_video_is_shown_once_and_a_class_again_only_after_the_others():
    found = {key: [tube(label, 0, score)] for key, label, score in (("a", 0, 0.9), ("b", 0, 0.8), ("c", 1, 0.7))}
    scored = scored_set({key: [tube(0, 0)] for key in found}, found)
    choices = [Choice("best", 0, row, "") for row in (0, 1, 2)]
    assert [choice.row for choice in take([choices, choices], [scored, scored], 3)] == [0, 2, 1]
    assert [choice.row for choice in take([choices], [scored], 2)] == [0, 2]
    assert take([[], []], [scored, scored], 2) == []


def test_two_detectors_choose_in_turns():
    found = {key: [tube(label, 0, 0.5)] for key, label in (("a", 0), ("b", 1), ("c", 2))}
    scored = scored_set({key: [tube(0, 0)] for key in found}, found)
    sides = [[Choice("best", side, row, "") for row in (0, 1, 2)] for side in (0, 1)]
    assert [(choice.side, choice.row) for choice in take(sides, [scored, scored], 3)] == [(0, 0), (1, 1), (0, 2)]
    other = [Choice("best", 1, row, "") for row in (2, 1, 0)]
    assert [(choice.side, choice.row) for choice in take([sides[0], other], [scored, scored], 2)] == [(0, 0), (1, 2)]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], None),
        ([tube(0, 200, 0.9)], None),  # elsewhere
        ([tube(1, 0, 0.9)], 0.9),  # another class, the same actor
        ([tube(1, 0, 0.9), tube(0, 0, 0.1), tube(0, 2, 0.3)], 0.3),  # the surest of the same class
    ],
)
def test_the_other_detectors_tube_of_the_same_actor_is_found(others, expected):
    truth = {"a": [tube(0, 0)], "b": []}
    own, other = scored_set(truth, {"a": [tube(0, 0, 0.8)]}), scored_set(truth, {"a": others, "b": [tube(0, 0, 1.0)]})
    row = counterpart(own, other, 0)
    assert (None if row is None else other.tables.tubes.scores[row]) == expected


def test_the_drop_is_that_of_the_same_tube_in_the_copies():
    own = scored_set(
        {"iid/0": [tube(0, 0), tube(1, 100, id=1)], "iid/1": [tube(1, 7)], "iid/2": [tube(2, 9)]},
        {"iid/0": [tube(0, 0, 0.9), tube(1, 100, 0.8)], "iid/1": [tube(1, 7, 0.7)]},
    )
    copy = scored_set(
        {"anti/1": [tube(1, 7)], "anti/0": [tube(0, 0), tube(1, 100, id=1)]},
        {"anti/0": [tube(0, 0, 0.2), tube(2, 100, 0.8)], "anti/1": [tube(1, 7, 0.8)]},
    )
    worse = scored_set({"s/0": [tube(0, 0), tube(1, 100, id=1)]}, {})
    assert mean_drops(own, [copy]) == pytest.approx([0.7, 0.8, -0.1, np.nan], nan_ok=True)
    assert mean_drops(own, [copy, worse]) == pytest.approx([0.8, 0.8, -0.1, np.nan], nan_ok=True)
    assert np.isnan(mean_drops(own, [])).all()
    rows = rows_by_drop(own, mean_drops(own, [copy]))
    assert [(row, round(drop, 3)) for row, drop in rows] == [(1, 0.8), (0, 0.7)]


def test_videos_with_equal_annotations_are_nobodys_copies():
    own = scored_set({"a": [tube(0, 0)], "b": [tube(0, 0)]}, {"a": [tube(0, 0, 0.9)]})
    copy = scored_set({"c": [tube(0, 0)]}, {})
    assert np.isnan(mean_drops(own, [copy])).all()


def test_the_table_of_tubes_says_what_each_is_taken_for_and_what_it_leaves_out(scored, monkeypatch):
    table = tube_table({"plain": scored}, {"plain": np.array([0.1, np.nan, -0.2])})
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["a", "jump", "20", "not found", "0.00", "-"],
        ["b", "jump", "20", "run", "0.60", "-0.20"],
        ["a", "run", "20", "run", "0.90", "+0.10"],
    ]
    assert MAX_TUBES > 3
    monkeypatch.setattr("stal.report.tables.MAX_TUBES", 1)
    assert "2 with higher scores are left out" in tube_table({"plain": scored}, {}).caption
