"""What mixers draw, and the settings that they share."""

from collections.abc import Sequence
from typing import Any

import torch
from scipy.special import betaincinv

from stal.errors import ConfigError
from stal.mixing.layers import Layer


def check_probability(mixer: Any, *names: str) -> None:
    """Raise unless the named settings of a mixer are between 0 and 1.

    Raises:
        ConfigError: one is not.
    """
    for name in names:
        value = getattr(mixer, name)
        if not 0 <= value <= 1:
            raise ConfigError(f"{type(mixer).__name__}: {name} is {value}, and must be between 0 and 1")


def check_positive(mixer: Any, *names: str) -> None:
    """Raise unless the named settings of a mixer are finite and above 0.

    Raises:
        ConfigError: one is not.
    """
    for name in names:
        value = getattr(mixer, name)
        if not 0 < value < float("inf"):
            raise ConfigError(f"{type(mixer).__name__}: {name} is {value}, and must be above 0")


def draw_between(low: float, high: float, generator: torch.Generator) -> float:
    """Draw a number from the uniform distribution."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def draw_beta(alpha: float, generator: torch.Generator) -> float:
    """Draw a number from Beta(alpha, alpha), which for an alpha of 1 is uniform on 0 to 1."""
    return float(betaincinv(alpha, alpha, draw_between(0.0, 1.0, generator)))


def draw_donor(
    host: int, layers: Sequence[Layer], generator: torch.Generator, probability: float, *, with_actors: bool
) -> Layer | None:
    """Draw whether a clip is mixed, and with which other one; None if it is not, or there is no other.

    Args:
        host: the clip.
        layers: the clips of the batch.
        generator: on the CPU.
        probability: that the clip is mixed.
        with_actors: only a clip that has actors will do.
    """
    mix = float(torch.rand((), generator=generator)) < probability
    donors = [i for i, layer in enumerate(layers) if i != host and (len(layer.labels) or not with_actors)]
    if not mix or not donors:
        return None
    return layers[donors[int(torch.randint(len(donors), (), generator=generator))]]
