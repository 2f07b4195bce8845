"""Which video, and which of its actors, a training clip is taken of: how often classes, tubes and videos come."""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float64

from stal.errors import ConfigError
from stal.structures import Tube, Video

Balance = Literal["video", "tube", "sqrt", "class"]

# A class comes in proportion to its number of tubes to this power.
_CLASS_POWERS = {"tube": 1.0, "sqrt": 0.5, "class": 0.0}


class Candidate(NamedTuple):
    """What a clip may be taken of: a video, and the tubes of which one has a box on the clip's keyframe."""

    video: Video
    tubes: tuple[Tube, ...]


class BalancedDraws:
    """What training clips may be taken of, and the share of the clips that each gets.

    With balance `video` a candidate is a video with all of its tubes, else one tube. The clips of an epoch divide the
    shares evenly among them, and each draws within its part (systematic sampling): every epoch has each candidate as
    often as its share says, to within one clip at either end of it. Independent draws would have missed a third of them
    in an epoch of as many clips as candidates::

        shares    |    a    |  b  |  c  |      d      |    e    |
        clips     |   0   |   1   |   2   |   3   |   4   |   5   |
                      a      a/b    b/c     d ...

    Args:
        videos: the videos, each with a tube.
        balance: `video`: every video equally often; `tube`: every tube equally often; `class`: every class that has a
            tube equally often, and within a class every tube; `sqrt`: between these two, a class in proportion to the
            square root of its number of tubes ("Exploring the Limits of Weakly Supervised Pretraining", ECCV 2018).

    Raises:
        ConfigError: there is no such balance.
    """

    def __init__(self, videos: Sequence[Video], balance: Balance) -> None:
        if balance not in get_args(Balance):
            raise ConfigError(f"balance {balance!r} is none of {', '.join(get_args(Balance))}")
        self.balance = balance
        if balance == "video":
            self.candidates = [Candidate(video, video.tubes) for video in videos]
            weights = np.ones(len(self.candidates))
        else:
            self.candidates = [Candidate(video, (tube,)) for video in videos for tube in video.tubes]
            labels = np.array([tubes[0].label for _, tubes in self.candidates])
            weights = np.bincount(labels)[labels] ** (_CLASS_POWERS[balance] - 1)
        self.shares: Float64[np.ndarray, " C"] = weights / weights.sum()
        self._ends = self.shares.cumsum()

    def draw(self, position: int, num_clips: int, generator: np.random.Generator) -> Candidate:
        """Return the candidate of the clip at `position` among the `num_clips` of an epoch."""
        if self.balance == "video":  # equal shares need no draw
            return self.candidates[position * len(self.candidates) // num_clips]
        return self._at((position + generator.random()) / num_clips, self._ends)

    def redraw(self, unwanted: Collection[str], generator: np.random.Generator) -> Candidate | None:
        """Return a candidate of a video whose key is not among the `unwanted`, by the shares; None if there is none."""
        wanted = np.array([video.key not in unwanted for video, _ in self.candidates])
        return self._at(generator.random(), (self.shares * wanted).cumsum()) if wanted.any() else None

    def _at(self, quantile: float, ends: Float64[np.ndarray, " C"]) -> Candidate:
        """Return the candidate at a quantile, from 0 to less than 1, of shares that end at `ends`."""
        place = min(quantile * ends[-1], np.nextafter(ends[-1], 0))  # a product may be rounded up to the end
        return self.candidates[int(np.searchsorted(ends, place, side="right"))]
