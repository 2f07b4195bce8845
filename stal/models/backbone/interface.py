"""What a detector asks of a backbone."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor, nn

from stal.errors import ConfigError
from stal.models.backbone.rerun import rerun


class PathwayFeatures(NamedTuple):
    """Features of clips: coarse ones of one or two pathways at the same spatial stride, and fine ones.

    The slow features stand for fewer frames than the clip has, the fast ones for all; there are none where the backbone
    has one pathway. `fine` are those after a first stage: little meaning, but four times as finely as the coarse ones
    at their usual stride of 16. They say where exactly an actor ends.
    """

    slow: Float[Tensor, "B C_slow T_slow H W"]
    fast: Float[Tensor, "B C_fast T H W"] | None
    fine: Float[Tensor, "B C_fine T_fine H_fine W_fine"]

    @property
    def coarse(self) -> tuple[Tensor, ...]:
        """The slow features, and the fast ones if there are any."""
        return (self.slow,) if self.fast is None else (self.slow, self.fast)


class Backbone(nn.Module, ABC):
    """A network that gives features of clips, each clip's by itself unless `norm` is `batch`.

    Features that stand for fewer frames than the clip has, stand for equal parts of it.

    Attributes:
        slow_channels: channels of the slow features.
        fast_channels: channels of the fast features; 0 where there is one pathway.
        fine_channels: channels of the fine features.
        spatial_stride: pixels of the clip from one coarse feature to the next.
        fine_stride: pixels of the clip from one fine feature to the next.
        norm: how features are normalised: `batch`, `frozen_batch`, `group` or `layer`. A penalty on input gradients is
            refused with `batch`.
        checkpoint_stages: in training, keep only what goes into each stage (of a transformer, into each block), and run
            it again when its gradient is asked for, or the gradient of that: less memory, for the time of another
            forward pass, and with a penalty on input gradients of two and a backward pass. Gradients stay the same.
    """

    slow_channels: int
    fast_channels: int
    fine_channels: int
    spatial_stride: int
    fine_stride: int
    norm: str
    checkpoint_stages: bool

    @abstractmethod
    def slow_frames(self, num_frames: int) -> Int64[Tensor, " T_slow"]:
        """Return which frames of a clip the slow features stand for.

        Raises:
            ShapeError: the backbone takes no clips of so many frames.
        """

    @property
    @abstractmethod
    def pathway_ends(self) -> tuple[nn.Module, ...]:
        """The modules that give the slow features and, if there are any, the fast ones."""

    @abstractmethod
    def forward(
        self, clips: Float[Tensor, "B C T H W"], slow_clips: Float[Tensor, "B C T H W"] | None = None
    ) -> PathwayFeatures:
        """Return the features of clips, differentiable twice with respect to them.

        Args:
            clips: normalised.
            slow_clips: what the slow pathway sees in their place, to tell the pathways apart; None for the same.

        Raises:
            ConfigError: the slow pathway is to see other clips, but it is the only one.
            ShapeError: the backbone takes no clips of this size.
        """

    def _run(self, stage: nn.Module, *inputs: Any, by: Callable[..., Any] = nn.Module.__call__) -> Any:
        """Return `by(stage, *inputs)`, and keep of it what `checkpoint_stages` says."""
        return rerun(by, stage, *inputs) if self.checkpoint_stages and self.training else by(stage, *inputs)


class OnePathway(Backbone):
    """A backbone with one pathway, whose features are called the slow ones."""

    fast_channels = 0

    @abstractmethod
    def maps(self, clips: Float[Tensor, "B C T H W"]) -> tuple[Tensor, Tensor]:
        """Return the slow and the fine features of normalised clips."""

    def forward(
        self, clips: Float[Tensor, "B C T H W"], slow_clips: Float[Tensor, "B C T H W"] | None = None
    ) -> PathwayFeatures:
        """Return the features of normalised clips; `slow_clips` must be None."""
        if slow_clips is not None:
            raise ConfigError(
                f"{type(self).__name__} has one pathway, so there is none to be told apart from: use pathway 'both'"
            )
        slow, fine = self.maps(clips)
        return PathwayFeatures(slow, None, fine)
