"""Which detections a report shows: the best, the worst, and those that rest most on the scene."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int64

from stal.metrics.error_budget import ErrorKind
from stal.metrics.matching import NOTHING
from stal.ops.tubes import tube_iou
from stal.report.scored_set import ScoredSet

Kind = Literal["best", "worst", "scene-reliant"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MIN_OVERLAP = 0.2  # two detectors' tubes that overlap less are not of the same actor


@dataclass(frozen=True)
class Choice:
    """A detected tube that is to be shown.

    Attributes:
        kind: what it is an example of.
        side: number of the detector that found it.
        row: its row in the table of that detector's tubes.
        why: in what it is that example, in words.
    """

    kind: Kind
    side: int
    row: int
    why: str


def best_rows(scored: ScoredSet) -> list[int]:
    """Return the rows of the detected tubes that are right, the surest first."""
    outcomes = scored.outcomes
    return _surest_first(scored, outcomes.rows[outcomes.kinds == ErrorKind.NONE])


def worst_rows(scored: ScoredSet) -> list[int]:
    """Return those that are wrong, the surest first.

    A second tube of an actor that is already found is left out: it would look right.
    """
    outcomes = scored.outcomes
    wrong = (outcomes.kinds != ErrorKind.NONE) & (outcomes.kinds != ErrorKind.DUPLICATE)
    return _surest_first(scored, outcomes.rows[wrong])


def rows_by_drop(scored: ScoredSet, drops: Float64[np.ndarray, " G"]) -> list[tuple[int, float]]:
    """Return those that are right and whose score falls most on other scenes, with that drop, the largest first.

    Args:
        scored: the detections.
        drops: of each annotated tube, as of `mean_drops`.
    """
    outcomes = scored.outcomes
    right = outcomes.kinds == ErrorKind.NONE
    of_rows = drops[outcomes.found_truth[right]]
    pairs = [(int(row), float(drop)) for row, drop in zip(outcomes.rows[right], of_rows, strict=True) if drop > 0]
    return sorted(pairs, key=lambda pair: -pair[1])


def what_is_wrong(scored: ScoredSet, row: int) -> str:
    """Return what a detected tube is, in words."""
    outcomes = scored.outcomes
    at = int(np.searchsorted(outcomes.rows, row))
    classes, truth = scored.annotations.classes, scored.tables.truth
    kind, other = ErrorKind(int(outcomes.kinds[at])), int(outcomes.other_truth[at])
    if kind == ErrorKind.NONE:
        return "right"
    if kind == ErrorKind.DUPLICATE:
        return "a second tube of an actor that a surer one has found"
    if other != NOTHING:
        return f"wrong: the actor does {classes[truth.labels[other]]}"
    return {
        ErrorKind.LOCALIZATION: f"wrong: it overlaps the tube of its class by {outcomes.own_iou[at]:.2f} only",
        ErrorKind.TIME: "wrong: its class is in the video, but at other times",
        ErrorKind.OTHER: "wrong: it overlaps an actor of another class, too little to be of it",
    }.get(kind, "wrong: there is nothing of its class")


def counterpart(scored: ScoredSet, other: ScoredSet, row: int) -> int | None:
    """Return the row of the other detector's tube of the same actor: the surest of the same class, else of any.

    Args:
        scored: the detections that the tube is of.
        other: those of the other detector, of the same videos.
        row: of the tube.

    Returns:
        None if no tube of the video overlaps it by 0.2.
    """
    tube = scored.tube(row)
    of_video = np.flatnonzero(other.tables.tubes.videos == scored.tables.tubes.videos[row]).tolist()
    near = [candidate for candidate in of_video if tube_iou(tube, other.tube(candidate)) >= _MIN_OVERLAP]
    tubes = other.tables.tubes
    return max(near, key=lambda at: (tubes.labels[at] == tube.label, tubes.scores[at]), default=None)


def take(sides: Sequence[Iterable[Choice]], scored: Sequence[ScoredSet], num: int) -> list[Choice]:
    """Let the sides choose in turns: no video twice, and no class again before the others had a turn.

    Args:
        sides: of each detector, its choices of one kind, the most telling first.
        scored: the detections of each.
        num: number of choices, or all if there are fewer.
    """
    queues = [list(of_side) for of_side in sides]
    taken: list[Choice] = []
    videos: set[str] = set()
    classes: set[int] = set()
    while len(taken) < num and any(queues):
        num_before = len(taken)
        for side in range(len(queues)):
            choice = next((choice for choice in queues[side] if _label(scored, choice) not in classes), None)
            if choice is not None and len(taken) < num:
                taken.append(choice)
                videos.add(_video(scored, choice))
                classes.add(_label(scored, choice))
                queues = [[other for other in q if _video(scored, other) not in videos] for q in queues]
        if len(taken) == num_before:
            classes = set()
    return taken


def _surest_first(scored: ScoredSet, rows: Int64[np.ndarray, " N"]) -> list[int]:
    return rows[np.argsort(-scored.tables.tubes.scores[rows], kind="stable")].tolist()


def _label(scored: Sequence[ScoredSet], choice: Choice) -> int:
    return int(scored[choice.side].tables.tubes.labels[choice.row])


def _video(scored: Sequence[ScoredSet], choice: Choice) -> str:
    return scored[choice.side].video_key(choice.row)
