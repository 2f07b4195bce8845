"""The detections that a report shows, with the gradient tubes of every detector."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float64

from stal.engine.display.counting import track
from stal.report.choice import (
    KINDS,
    Choice,
    Kind,
    best_rows,
    counterpart,
    rows_by_drop,
    take,
    what_is_wrong,
    worst_rows,
)
from stal.report.gradient_tubes import TubeMaker, scene_reliance
from stal.report.scored_set import ScoredSet
from stal.report.shown_clip import DEFAULT_FPS, ShownClip, SideView
from stal.visualize.tube_view import TubeView

CANDIDATES_PER_CLIP = 3
"""Right detections whose gradient is looked at, for each scene-reliant one that is shown."""


class ClipMaker:
    """Choose detections, and make the clips of them.

    Args:
        names: of the detectors.
        scored: detections of each, of the same videos.
        makers: make the gradient tubes of each.
        drops: of each, how much the score of every annotated tube falls on other scenes, as of `mean_drops`.
    """

    def __init__(
        self,
        names: Sequence[str],
        scored: Sequence[ScoredSet],
        makers: Sequence[TubeMaker],
        drops: Sequence[Float64[np.ndarray, " G"]],
    ) -> None:
        self._names, self._scored, self._makers, self._drops = names, scored, makers, drops

    @property
    def uses_drops(self) -> bool:
        """Whether scene-reliant are those detections whose score falls on other scenes; if not, gradients decide."""
        return all(bool((of_side > 0).any()) for of_side in self._drops)

    def make(self, num: int) -> list[ShownClip]:
        """Return the clips of every kind, `num` of each or all if there are fewer."""
        chosen: list[Choice] = []
        for kind in KINDS:
            of_kind = [self._candidates(kind, side, num) for side in range(len(self._scored))]
            chosen += take(of_kind, self._scored, num)
        return [self._clip(choice) for choice in track(chosen, "gradient tubes")]

    def _candidates(self, kind: Kind, side: int, num: int) -> Iterator[Choice]:
        """Yield detections of one kind, the most telling first."""
        scored = self._scored[side]
        if kind == "best":
            for row in best_rows(scored):
                yield Choice(kind, side, row, "right, and among the surest")
        elif kind == "worst":
            for row in worst_rows(scored):
                yield Choice(kind, side, row, what_is_wrong(scored, row))
        elif self.uses_drops:
            for row, drop in rows_by_drop(scored, self._drops[side]):
                yield Choice(kind, side, row, f"right, but its score is {drop:.2f} lower on other scenes")
        else:
            rows = best_rows(scored)[: CANDIDATES_PER_CLIP * num]
            tubes = [
                self._makers[side].make(scored.video_key(row), scored.tube(row))
                for row in track(rows, f"gradients of {self._names[side]}")
            ]
            for reliance, row in sorted(zip(map(scene_reliance, tubes), rows, strict=True), reverse=True):
                why = f"right, but outside the boxes lies {reliance:.2f} of the energy that an even spread has there"
                yield Choice(kind, side, row, why)

    def _clip(self, choice: Choice) -> ShownClip:
        scored = self._scored[choice.side]
        classes = scored.annotations.classes
        return ShownClip(
            kind=choice.kind,
            action=classes[scored.tube(choice.row).label],
            chosen_of=self._names[choice.side],
            why=choice.why,
            video=self._makers[choice.side].video(scored.video_key(choice.row)),
            classes=classes,
            sides=tuple(self._side(choice, side) for side in range(len(self._scored))),
        )

    def _side(self, choice: Choice, side: int) -> SideView:
        """Return what a detector makes of a choice: its own tube of the actor, or the chosen one if it has none."""
        chosen_of, own = self._scored[choice.side], self._scored[side]
        row = choice.row if side == choice.side else counterpart(chosen_of, own, choice.row)
        if row is None:
            tube, note = chosen_of.tube(choice.row), "not detected; the gradient at the other's boxes"
        else:
            tube, note = own.tube(row), what_is_wrong(own, row)
        maker = self._makers[side]
        key = chosen_of.video_key(choice.row)
        video = maker.video(key)
        view = TubeView(
            tube=maker.make(key, tube),
            action=own.annotations.classes[tube.label],
            origin="detection" if row is not None else "another's boxes",
            video_size=(video.height, video.width),
            fps=video.fps or DEFAULT_FPS,
        )
        return SideView(self._names[side], view, tube.score if row is not None else None, note)
