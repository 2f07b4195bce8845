"""Colours of actors, objects and scenes."""

import colorsys

import numpy as np

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""


def random_colour(rng: np.random.Generator, value: tuple[float, float] = (0.35, 1.0)) -> Colour:
    """Return a colour of any hue, with at least a third of full saturation and a brightness in the range `value`."""
    red, green, blue = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.35, 1.0), rng.uniform(*value))
    return int(255 * red), int(255 * green), int(255 * blue)


def vary(rng: np.random.Generator, colour: Colour, amount: int = 22) -> Colour:
    """Return a colour near `colour`: every channel moves by `amount` at most."""
    red, green, blue = np.clip(np.array(colour) + rng.integers(-amount, amount + 1, 3), 0, 255).tolist()
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """Return a darker colour, for a factor below 1."""
    red, green, blue = (int(channel * factor) for channel in colour)
    return red, green, blue
