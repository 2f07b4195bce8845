"""A small network and its scored actors, on which penalties are checked against formulas and differences."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from stal.losses.scored_actors import ScoredActors

NUM_CLASSES, SIZE = 3, (2, 3, 4)  # T, H, W


class Scorer(nn.Module):
    """Features and logits of actors in clips: a linear map of the clip, bent by tanh unless `linear`."""

    def __init__(self, *, linear: bool = False) -> None:
        super().__init__()
        self.linear = linear
        self.features = nn.Parameter(0.3 * torch.randn(5, 3, *SIZE, dtype=torch.float64))
        self.logits = nn.Parameter(torch.randn(NUM_CLASSES, 5, dtype=torch.float64))

    def features_of(self, clips: torch.Tensor) -> torch.Tensor:
        features = torch.einsum("fcthw,bcthw->bf", self.features, clips)
        return features if self.linear else features.tanh()

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.features_of(clips) @ self.logits.T


@pytest.fixture
def scorer() -> Scorer:
    torch.manual_seed(0)
    return Scorer()


@pytest.fixture
def linear_scorer() -> Scorer:
    torch.manual_seed(0)
    return Scorer(linear=True)


def batch_of(scorer: Scorer, clip_index: tuple[int, ...] = (0, 0, 2), **changes: object) -> ScoredActors:
    """Return actors in three clips, by default two in the first and none in the second; always the same clips."""
    generator = torch.Generator().manual_seed(1)
    clips = torch.randn(3, 3, *SIZE, generator=generator, dtype=torch.float64)
    masks = torch.rand(len(clip_index), *SIZE, generator=generator) < 0.3
    index = torch.tensor(clip_index, dtype=torch.int64)
    features = scorer.features_of(clips)[index]
    values: dict[str, object] = {
        "logits": features @ scorer.logits.T,
        "labels": torch.arange(len(clip_index)) % NUM_CLASSES,
        "clips": clips,
        "clip_index": index,
        "masks": masks,
        "features": features,
        "score": lambda clips, frames=None: scorer(clips)[index],
    }
    return ScoredActors(**(values | changes))


@pytest.fixture
def scored() -> Callable[..., ScoredActors]:
    return batch_of


@pytest.fixture
def check_parameter_gradient() -> Callable[..., None]:
    """Compare the gradient of a loss with respect to weights with central differences along random directions."""

    def check(loss: Callable[[], torch.Tensor], parameters: list[torch.Tensor], step: float = 1e-6) -> None:
        gradients = torch.autograd.grad(loss(), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            direction = torch.randn_like(parameter)
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter += sign * step * direction
                ends.append(loss().item())
                with torch.no_grad():
                    parameter -= sign * step * direction
            assert (gradient * direction).sum().item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)
            assert gradient.abs().sum() > 0

    return check
