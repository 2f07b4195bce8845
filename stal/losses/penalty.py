"""What every penalty has in common: when it is due, how much it weighs, and how it is called."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from stal.errors import ConfigError
from stal.losses.scored_actors import ScoredActors


@dataclass(frozen=True)
class Schedule:
    """The weight of a penalty over the steps of a training.

    Attributes:
        weight: of the penalty.
        interval: take the penalty on every `interval`-th step only, times `interval`: cheaper, and on average the same
            gradient as long as it is neither clipped nor, as by Adam, normalised (lazy regularization, Karras et al.
            2020, arXiv 1912.04958, section 3.1).
        warmup_steps: steps over which the weight grows linearly from 0.
        start_step: the first step with the penalty, where the warm-up begins.
    """

    weight: float
    interval: int = 1
    warmup_steps: int = 0
    start_step: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf") or self.interval < 1 or min(self.warmup_steps, self.start_step) < 0:
            raise ConfigError(
                f"{self}: the weight and the numbers of steps must not be negative, the weight must be finite, and the "
                "interval at least 1"
            )

    def is_due(self, step: int) -> bool:
        """Return whether the penalty is taken on this step, counted from 0."""
        return step >= self.start_step and step % self.interval == 0

    def factor(self, step: int) -> float:
        """Return what the penalty is multiplied by on a step on which it is due."""
        grown = (step - self.start_step + 1) / self.warmup_steps if self.warmup_steps else 1.0
        return self.weight * self.interval * min(grown, 1.0)


@runtime_checkable
class Penalty(Protocol):
    """A term that is added to the detector's losses.

    Attributes:
        schedule: when it is due.
        needs_input_gradient: whether it differentiates with respect to the clips: then they are a leaf that requires a
            gradient, and the step is taken without mixed precision.
    """

    schedule: Schedule
    needs_input_gradient: bool

    @property
    def num_scenes(self) -> int | None:
        """How many scenes it tells apart; None if it does not ask which scene a clip shows.

        A training with it is refused if its videos have no scenes, or more.
        """
        ...

    def __call__(self, actors: ScoredActors, *, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return what is added to the losses (names that begin with `loss_`), and other numbers for the log.

        Args:
            actors: those of the batch; there may be none.
            step: of the training, counted from 0.
            generator: on the CPU, the only source of chance.
        """
        ...
