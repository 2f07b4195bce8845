"""What the scenes are painted with: gradients, noise, and things that drift."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stal.data.scenes.colours import Colour

Image = UInt8[np.ndarray, "H W 3"]
Area = tuple[int | float, int | float, int | float, int | float]
"""A rectangle (x1, y1, x2, y2) in pixels."""


def gradient(top: Colour, bottom: Colour, height: int, width: int) -> Image:
    """Return an image that goes from one colour to another."""
    weight = np.linspace(0, 1, height)[:, None, None]
    column = (1 - weight) * np.array(top) + weight * np.array(bottom)
    return np.broadcast_to(column.astype(np.uint8), (height, width, 3)).copy()


def roughen(rng: np.random.Generator, image: Image, cell: tuple[int, int], amount: float) -> None:
    """Add smooth grey noise to an image in place.

    Args:
        rng: the source of chance.
        image: a whole image or a view of a part of it.
        cell: (height, width) in pixels of the grains.
        amount: standard deviation of the noise, in grey levels.
    """
    height, width = image.shape[:2]
    grains = rng.normal(0, amount, (height // cell[0] + 2, width // cell[1] + 2)).astype(np.float32)
    noise = cv2.resize(grains, (width, height), interpolation=cv2.INTER_LINEAR)
    image[:] = np.clip(image + noise[..., None], 0, 255).astype(np.uint8)


def scatter(rng: np.random.Generator, num: int, area: Area) -> list[tuple[int, int]]:
    """Return `num` random positions (x, y) in a rectangle, in whole pixels."""
    return [(x, y) for x, y in rng.uniform(area[:2], area[2:], (num, 2)).astype(int).tolist()]


@dataclass(frozen=True)
class Drift:
    """Things that move steadily through a rectangle and come in again at its other side.

    Attributes:
        start: (N, 2) positions x, y at time 0, in pixels.
        velocity: (N, 2) in pixels a second.
        origin: (2,) left upper corner of the rectangle.
        extent: (2,) its width and height.
    """

    start: Float[np.ndarray, "N 2"]
    velocity: Float[np.ndarray, "N 2"]
    origin: Float[np.ndarray, "2"]
    extent: Float[np.ndarray, "2"]

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        num: int,
        area: Area,
        slowest: tuple[float, float],
        fastest: tuple[float, float],
    ) -> "Drift":
        """Scatter `num` things over `area`, with velocities (x, y) in pixels a second between two."""
        corners = np.array(area, dtype=np.float64)
        extent = corners[2:] - corners[:2]
        return cls(rng.uniform(0, extent, (num, 2)), rng.uniform(slowest, fastest, (num, 2)), corners[:2], extent)

    def at(self, seconds: float) -> list[tuple[int, int]]:
        """Return the positions at a time, in whole pixels."""
        positions = self.origin + (self.start + seconds * self.velocity) % self.extent
        return [(x, y) for x, y in np.round(positions).astype(int).tolist()]
