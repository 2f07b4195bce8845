"""Which part of a path is its action: trimming in time, from the scores of the frames.

scores         . : | | | : . . . : | | | : .
KeepWhole      =============================
DualLabel          =======         =======      every run on which the action is the better label
MaxSubarray        =======================      the one run that gains most
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from stal.linking.parameters import require_count, require_fraction, require_non_negative

NUM_TOP_SCORES = 40  # Singh et al. 2017 score a tube by so many of its best frames, so that length does not dilute it


def mean_of_best(scores: Float64[np.ndarray, " T"], num_best: int) -> float:
    """Return the mean of the `num_best` highest scores, or of all if there are fewer."""
    return float(np.sort(scores)[-num_best:].mean())


@dataclass(frozen=True)
class KeepWhole:
    """Keep paths as they are."""

    def __call__(self, scores: Float64[np.ndarray, " T"]) -> list[slice]:
        """Return one part: all frames."""
        return [slice(0, len(scores))]


@dataclass(frozen=True)
class DualLabel:
    """Label every frame of a path as action or not, by dynamic programming, and keep each run of action.

    The labels maximize the sum of their scores minus `alpha` for every change of label (a Potts model). Action scores
    as the frame does, no action scores 1 minus that; a tie is action (Saha et al., BMVC 2016; Singh et al., ICCV 2017,
    whose `dpEM_max` has a label for each class instead, for which a box needs its scores for all classes).

    Attributes:
        alpha: cost of a change of label, in units of score. Singh et al.: 3, and 5.
    """

    alpha: float = 3.0

    def __post_init__(self) -> None:
        require_non_negative("alpha", self.alpha)

    def __call__(self, scores: Float64[np.ndarray, " T"]) -> list[slice]:
        """Return the runs of action, possibly none.

        Args:
            scores: score of each frame, a probability.
        """
        # The best labels that end with action lead those that end without by so much. A lead of more than alpha is
        # worth a change of label: then both come from the same labels before, and the lead is alpha.
        leads = []
        lead = 0.0
        for gain in (2 * scores - 1).tolist():
            lead = min(max(lead, -self.alpha), self.alpha) + gain
            leads.append(lead)
        action = np.zeros(len(leads), bool)
        label = leads[-1] >= 0
        for frame in range(len(leads) - 1, -1, -1):
            if abs(leads[frame]) > self.alpha:
                label = leads[frame] > 0
            action[frame] = label
        return _runs(action)


@dataclass(frozen=True)
class MaxSubarray:
    """Keep the run of frames whose scores exceed a threshold by the highest sum: the maximum subarray.

    Peng & Schmid (ECCV 2016) search the extent of an action in this way. Here the threshold is relative to how the path
    scores, so that the tubes of unsure detectors are not cut more than those of sure ones.

    Attributes:
        threshold: fraction of the score of the path, in [0, 1], below which a frame speaks against the action. Not
            published.
        num_top_scores: the score of the path is the mean of so many of its best frames. Singh et al. score tubes by 40.
    """

    threshold: float = 0.5
    num_top_scores: int = NUM_TOP_SCORES

    def __post_init__(self) -> None:
        require_fraction("threshold", self.threshold)
        require_count("num_top_scores", self.num_top_scores, minimum=1)

    def __call__(self, scores: Float64[np.ndarray, " T"]) -> list[slice]:
        """Return one run of at least one frame: of equal ones the longest of those that end first.

        Args:
            scores: score of each frame.
        """
        gains = scores - self.threshold * mean_of_best(scores, self.num_top_scores)
        total = np.concatenate([[0.0], np.cumsum(gains)])
        end = int((total[1:] - np.minimum.accumulate(total[:-1])).argmax()) + 1
        return [slice(int(total[:end].argmin()), end)]


def _runs(mask: Bool[np.ndarray, " T"]) -> list[slice]:
    """Return the runs of True."""
    changes = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [slice(start, end) for start, end in changes.reshape(-1, 2).tolist()]
