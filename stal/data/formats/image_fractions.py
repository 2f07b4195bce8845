"""Coordinates that are fractions of the image, or should be."""

import numpy as np
from jaxtyping import Float64

MAX_FRACTION = 10.0
"""Coordinates are below; a box may reach beyond the image, but not that far."""

_USUAL_FRACTION = 1.5


def are_pixels(coordinates: Float64[np.ndarray, "N 4"]) -> bool:
    """Whether coordinates that should be fractions are clearly others: one is huge, or most are above the usual."""
    sizes = np.abs(coordinates)
    return bool((sizes >= MAX_FRACTION).any() or (sizes > _USUAL_FRACTION).sum() > sizes.size / 2)
