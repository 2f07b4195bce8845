"""Checks of the parameters of linkers."""

import math

from stal.errors import ConfigError


def require_fraction(name: str, value: float) -> None:
    """Raise unless 0 <= `value` <= 1."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} {value}: choose a number from 0 to 1")


def require_non_negative(name: str, value: float) -> None:
    """Raise unless `value` is finite and at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(f"{name} {value}: choose a finite number of at least 0")


def require_count(name: str, value: int, minimum: int) -> None:
    """Raise unless `value` is a whole number of at least `minimum`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise ConfigError(f"{name} {value}: choose a whole number of at least {minimum}")
