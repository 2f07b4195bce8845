"""Nine scenes: each a family of textured, moving backgrounds that anyone, and any network, recognises at a glance.

A painter draws the static part of a scene once, with random variations, and returns a function that adds the moving
things to a copy of it at a time. Lengths scale with the image height.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stal.data.scenes.colours import random_colour, vary
from stal.data.scenes.performances import FPS, MAX_PAN
from stal.data.scenes.textures import Drift, Image, gradient, roughen, scatter


@dataclass(frozen=True)
class Background:
    """The static part of a scene, and the function that draws its moving things at a time in seconds."""

    image: Image
    animate: Callable[[Image, float], None]


def render_background(
    scene: str, rng: np.random.Generator, pan: Float[np.ndarray, " T"], width: int, height: int
) -> UInt8[np.ndarray, "T H W 3"]:
    """Return the frames of a random variant of a scene, seen by a camera that pans.

    Args:
        scene: one of `SCENES`.
        rng: the only source of chance.
        pan: how far the camera has turned to the right on every frame, in pixels.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Returns:
        RGB frames.
    """
    margin = int(MAX_PAN * width) + 1
    background = SCENES[scene](rng, height, width + 2 * margin)
    frames = np.empty((len(pan), height, width, 3), np.uint8)
    for t, left in enumerate(np.round(margin + pan).astype(int).tolist()):
        wide = background.image.copy()
        background.animate(wide, t / FPS)
        frames[t] = wide[:, left : left + width]
    return frames


def street(rng: np.random.Generator, h: int, w: int) -> Background:
    """Paint house fronts with windows, a pavement, and a road with cars."""
    image = gradient((120, 118, 122), (82, 82, 88), h, w)
    pavement, x = int(0.62 * h), 0
    while x < w:
        house = int(h * rng.uniform(0.3, 0.5))
        image[:pavement, x : x + house] = vary(rng, (168, 112, 88), 40)
        glass = vary(rng, (70, 92, 120))
        for left in range(x + h // 20, min(x + house, w) - h // 10, h // 7):
            for top in range(h // 16, pavement - h // 6, h // 6):
                image[top : top + h // 9, left : left + h // 12] = glass
        x += house
    image[pavement : pavement + h // 10] = vary(rng, (176, 172, 164))
    roughen(rng, image, (2, 2), 7.0)
    cars = Drift.random(rng, 4, (-0.4 * h, 0.76 * h, w + 0.4 * h, 0.8 * h), (0.5 * h, 0.0), (1.1 * h, 0.0))
    colours = [random_colour(rng, (0.5, 1.0)) for _ in cars.start]

    def animate(frame: Image, seconds: float) -> None:
        for left in range(0, w, h // 3):
            frame[int(0.93 * h) : int(0.95 * h), left : left + h // 6] = (230, 226, 200)
        for (x, y), colour in zip(cars.at(seconds), colours, strict=True):
            cv2.rectangle(frame, (x, y), (x + h // 3, y + h // 9), colour, -1)
            cv2.rectangle(frame, (x + h // 14, y - h // 14), (x + h // 4, y), colour, -1)
            for wheel in (x + h // 14, x + h // 4):
                cv2.circle(frame, (wheel, y + h // 9), h // 24, (20, 20, 20), -1)

    return Background(image, animate)


def court(rng: np.random.Generator, h: int, w: int) -> Background:
    """Paint a sports hall: a crowd that jumps about above a wooden floor with lines."""
    image = gradient((52, 44, 66), (70, 60, 84), h, w)
    edge = int(0.5 * h)
    image[edge:] = gradient(vary(rng, (214, 148, 82), 16), vary(rng, (176, 108, 52), 16), h - edge, w)
    for y in range(edge, h, max(2, h // 24)):
        image[y] = (0.86 * image[y]).astype(np.uint8)
    roughen(rng, image[edge:], (1, h // 8), 7.0)
    line = vary(rng, (246, 242, 230), 8)
    middle = int(w * rng.uniform(0.3, 0.7))
    cv2.rectangle(image, (-9, edge), (w + 9, edge + h // 14), vary(rng, (40, 88, 176)), -1)
    cv2.ellipse(image, (middle, int(0.85 * h)), (int(0.45 * h), int(0.14 * h)), 0, 0, 360, line, max(1, h // 50))
    cv2.line(image, (middle, edge + h // 14), (middle - h // 5, h), line, max(1, h // 50))
    crowd = scatter(rng, w // 3, (0, 0.04 * h, w, edge - 0.02 * h))
    colours = [random_colour(rng, (0.5, 1.0)) for _ in crowd]
    beats = rng.uniform(0, 2 * np.pi, len(colours))

    def animate(frame: Image, seconds: float) -> None:
        hops = np.round(0.025 * h * np.abs(np.sin(5 * seconds + beats))).astype(int).tolist()
        for (x, y), colour, hop in zip(crowd, colours, hops, strict=True):
            cv2.circle(frame, (x, y - hop), max(1, h // 45), colour, -1)

    return Background(image, animate)


def beach(rng: np.random.Generator, h: int, w: int) -> Background:
    """Paint sky with clouds, a sea with waves, and sand."""
    horizon, shore = int(h * rng.uniform(0.3, 0.38)), int(h * rng.uniform(0.58, 0.66))
    image = gradient(vary(rng, (108, 182, 238)), vary(rng, (206, 232, 248), 10), h, w)
    image[horizon:shore] = gradient(vary(rng, (22, 108, 166)), vary(rng, (64, 184, 196)), shore - horizon, w)
    image[shore:] = vary(rng, (236, 206, 146), 14)
    roughen(rng, image[shore:], (2, 3), 11.0)
    cv2.circle(image, (int(w * rng.uniform(0.2, 0.8)), horizon // 3), h // 14, (255, 244, 170), -1)
    clouds = Drift.random(rng, 5, (-0.2 * h, 0.02 * h, w + 0.2 * h, 0.26 * h), (0.04 * h, 0.0), (0.16 * h, 0.0))
    heights = np.linspace(horizon + 0.03 * h, shore, 6)
    speeds, columns = rng.uniform(1.5, 3.5, 6), np.arange(w)

    def animate(frame: Image, seconds: float) -> None:
        for x, y in clouds.at(seconds):
            for dx in (-h // 10, 0, h // 10):
                cv2.ellipse(frame, (x + dx, y), (h // 9, h // 26), 0, 0, 360, (250, 252, 255), -1)
        for i, (level, speed) in enumerate(zip(heights, speeds, strict=True)):
            crest = level + 0.018 * h * np.sin(columns / (0.05 * h + i) + speed * seconds * (-1) ** i)
            points = np.stack([columns, crest], axis=1).astype(np.int32)
            cv2.polylines(frame, [points], False, (226, 246, 250), max(1, h // 60 + i // 3))

    return Background(image, animate)


def gym(rng: np.random.Generator, h: int, w: int) -> Background:
    """Paint a gym: a wall with racks of weights, a turning fan, a blinking display, and a floor of mats."""
    edge = int(h * rng.uniform(0.55, 0.6))
    wall, mat = vary(rng, (196, 200, 206), 14), vary(rng, (44, 62, 132), 18)
    image = gradient(wall, (150, 154, 164), h, w)
    image[edge:] = mat
    for left in range(-h, w, h // 3):
        cv2.line(image, (left, h), (left + h // 4, edge), (18, 24, 60), max(1, h // 50))
    cv2.line(image, (0, (edge + h) // 2), (w, (edge + h) // 2), (18, 24, 60), max(1, h // 60))
    for shelf in (0.34, 0.48):
        y = int(shelf * h)
        cv2.line(image, (0, y + h // 24), (w, y + h // 24), (60, 60, 64), max(1, h // 40))
        for x in range(int(rng.integers(h // 8)), w, h // 6):
            cv2.line(image, (x, y), (x + h // 12, y), (96, 96, 100), max(1, h // 50))
            for end in (x, x + h // 12):
                cv2.circle(image, (end, y), h // 30, (26, 26, 30), -1)
    roughen(rng, image, (3, 3), 5.0)
    fans = [int(x) for x in np.arange(rng.uniform(0, 0.6), w / h, 0.75) * h]
    speed, lamp = rng.uniform(3, 6), random_colour(rng, (0.9, 1.0))

    def animate(frame: Image, seconds: float) -> None:
        for x in fans:
            centre = (x, int(0.15 * h))
            cv2.circle(frame, centre, h // 10, (88, 92, 100), -1)
            for blade in range(3):
                angle = int(np.rad2deg(speed * seconds)) + 120 * blade
                cv2.ellipse(frame, centre, (h // 11, h // 11), angle, 0, 45, (226, 230, 234), -1)
            lit = int(4 * seconds + x) % 2
            cv2.rectangle(frame, (x + h // 4, h // 10), (x + h // 2, h // 5), lamp if lit else (30, 30, 34), -1)

    return Background(image, animate)


def stage(rng: np.random.Generator, h: int, w: int) -> Background:
    """Paint a stage: a red curtain whose folds sway, a dark floor, and spotlights that wander."""
    edge = int(h * rng.uniform(0.68, 0.74))
    image = gradient((70, 42, 30), (36, 20, 16), h, w)
    red = np.array(vary(rng, (168, 22, 34), 16))
    fold, sway = h * rng.uniform(0.06, 0.1), rng.uniform(0.8, 1.6)
    columns = np.arange(w)
    spots = Drift.random(rng, 3, (0, 0, w, 1), (-0.5 * h, 0.0), (0.5 * h, 0.0))
    roughen(rng, image[edge:], (1, h // 6), 8.0)
    rows, xs = np.mgrid[:h, :w].astype(np.float32)

    def animate(frame: Image, seconds: float) -> None:
        light = 0.68 + 0.32 * np.sin((columns + 0.05 * h * np.sin(sway * seconds + columns / h)) / fold * 2)
        frame[:edge] = (light[:, None] * red).astype(np.uint8)
        for x, _ in spots.at(seconds):
            cone = np.abs(xs - x) < 0.06 * h + 0.16 * rows
            frame[cone] += ((255 - frame[cone]) * 0.22 * np.array([1, 0.95, 0.6])).astype(np.uint8)

    return Background(image, animate)


def snow(rng: np.random.Generator, h: int, w: int) -> Background:
    """Paint white hills with firs, and snow that falls."""
    image = gradient(vary(rng, (166, 178, 200), 12), vary(rng, (214, 220, 232), 8), h, w)
    columns = np.arange(w)
    for level, white in ((0.42, 216), (0.55, 236)):
        ridge = h * (level + 0.06 * np.sin(columns / (h * rng.uniform(0.25, 0.45)) + rng.uniform(0, 6)))
        image[np.arange(h)[:, None] > ridge] = (white, white, min(255, white + 10))
    roughen(rng, image, (4, 8), 5.0)
    for x in rng.uniform(0, w, w * 7 // h):
        size, foot = h * rng.uniform(0.18, 0.34), h * rng.uniform(0.5, 0.66)
        for tier in range(3):
            top, half = foot - size * (1 - 0.22 * tier), size * (0.16 + 0.07 * tier)
            points = [(x, top), (x - half, top + 0.5 * size), (x + half, top + 0.5 * size)]
            cv2.fillPoly(image, [np.array(points, np.int32)], vary(rng, (34, 84, 62), 12))
    flakes = Drift.random(rng, w, (0, 0, w, h), (-0.15 * h, 0.3 * h), (0.1 * h, 0.7 * h))

    def animate(frame: Image, seconds: float) -> None:
        for i, (x, y) in enumerate(flakes.at(seconds)):
            cv2.circle(frame, (x, y), max(1, h // 90) if i % 3 else h // 60, (255, 255, 255), -1)

    return Background(image, animate)


def forest(rng: np.random.Generator, h: int, w: int) -> Background:
    """Paint trunks before leaves, a floor of moss, and leaves that fall."""
    image = gradient(vary(rng, (52, 104, 44), 14), vary(rng, (28, 62, 30), 10), h, w)
    roughen(rng, image, (h // 16, h // 16), 24.0)
    edge = int(h * rng.uniform(0.62, 0.7))
    image[edge:] = gradient(vary(rng, (96, 118, 46), 14), (62, 70, 30), h - edge, w)
    roughen(rng, image[edge:], (2, 4), 16.0)
    for x in np.arange(rng.uniform(0, 0.3) * h, w, 0.27 * h):
        left, half = x + h * rng.uniform(-0.06, 0.06), h * rng.uniform(0.02, 0.05)
        foot, bark = int(edge + h * rng.uniform(-0.04, 0.08)), vary(rng, (92, 64, 42), 16)
        cv2.rectangle(image, (int(left - half), 0), (int(left + half), foot), bark, -1)
        cv2.rectangle(image, (int(left + half / 3), 0), (int(left + half), foot), (58, 40, 28), -1)
    leaves = Drift.random(rng, w // 4, (0, 0, w, h), (-0.3 * h, 0.15 * h), (0.05 * h, 0.4 * h))
    colours = [vary(rng, (190, 150, 40), 50) for _ in leaves.start]
    crowns = scatter(rng, w // 6, (0, -0.02 * h, w, 0.16 * h))
    greens = [vary(rng, (58, 128, 46), 30) for _ in crowns]
    wind = rng.uniform(1.5, 3)

    def animate(frame: Image, seconds: float) -> None:
        for i, ((x, y), green) in enumerate(zip(crowns, greens, strict=True)):
            cv2.circle(frame, (x + int(0.03 * h * np.sin(wind * seconds + i)), y), h // 16, green, -1)
        for (x, y), colour in zip(leaves.at(seconds), colours, strict=True):
            cv2.ellipse(frame, (x, y), (h // 40, h // 80), x * 9, 0, 360, colour, -1)

    return Background(image, animate)


def pool(rng: np.random.Generator, h: int, w: int) -> Background:
    """Paint a swimming pool: turquoise water with a net of moving light, lane ropes, and tiles."""
    edge = int(h * rng.uniform(0.2, 0.28))
    image = gradient(vary(rng, (60, 198, 214), 16), vary(rng, (16, 132, 186), 16), h, w)
    image[:edge] = vary(rng, (232, 236, 236), 8)
    for x in range(0, w, max(3, h // 14)):
        image[:edge, x] = (150, 176, 186)
    for y in range(0, edge, max(3, h // 14)):
        image[y] = (150, 176, 186)
    rows, columns = np.mgrid[: h - edge, :w].astype(np.float32) / (0.045 * h)
    phase, speed = rng.uniform(0, 6), rng.uniform(2, 4)
    ropes = [int(edge + (h - edge) * share) for share in (0.12, 0.4, 0.78)]
    floats = [vary(rng, (226, 40, 40)), vary(rng, (250, 250, 250), 5)]

    def animate(frame: Image, seconds: float) -> None:
        time = speed * seconds + phase
        ripple = np.sin(columns + np.sin(0.7 * rows + time)) + np.sin(1.6 * rows - 0.6 * columns - 0.8 * time)
        frame[edge:][ripple > 1.05] = (178, 240, 246)
        for y in ropes:
            for i, x in enumerate(range(-h // 8, w, h // 12)):
                bob = y + int(0.012 * h * np.sin(time + i))
                cv2.ellipse(frame, (x, bob), (h // 26, h // 50), 0, 0, 360, floats[i // 2 % 2], -1)

    return Background(image, animate)


def night(rng: np.random.Generator, h: int, w: int) -> Background:
    """Paint a city at night: lit windows, a moon, stars, fireworks and the lights of cars."""
    image = gradient(vary(rng, (8, 10, 34), 6), vary(rng, (44, 30, 78), 10), h, w)
    for x, y in scatter(rng, w // 3, (0, 0, w, 0.5 * h)):
        image[y, x] = (210, 214, 230)
    cv2.circle(image, (int(w * rng.uniform(0.2, 0.8)), h // 8), h // 15, (238, 234, 206), -1)
    edge, x = int(0.7 * h), 0
    while x < w:
        tower, top = int(h * rng.uniform(0.14, 0.28)), int(h * rng.uniform(0.3, 0.5))
        image[top:edge, x : x + tower] = vary(rng, (20, 20, 32), 8)
        for left in range(x + h // 40, min(x + tower, w) - h // 30, h // 20):
            for y in range(top + h // 40, edge - h // 24, h // 15):
                if rng.uniform() < 0.45:
                    image[y : y + h // 36, left : left + h // 36] = vary(rng, (250, 206, 100), 20)
        x += tower
    image[edge:] = gradient((30, 30, 42), (14, 14, 22), h - edge, w)
    roughen(rng, image[edge:], (2, 6), 4.0)
    rockets = scatter(rng, 4, (0.05 * w, 0.06 * h, 0.95 * w, 0.3 * h))
    colours, starts = [random_colour(rng, (0.9, 1.0)) for _ in rockets], rng.uniform(0, 1, len(rockets))
    rays = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    lights = Drift.random(rng, 7, (0, 0.76 * h, w, 0.79 * h), (0.4 * h, 0.0), (0.9 * h, 0.0))

    def animate(frame: Image, seconds: float) -> None:
        for (x, y), colour, start in zip(rockets, colours, starts, strict=True):
            reach = 0.17 * h * ((seconds + start) % 1)
            for dx, dy in np.stack([np.cos(rays), np.sin(rays)], axis=1) * reach:
                cv2.circle(frame, (int(x + dx), int(y + dy)), max(1, h // 80), colour, -1)
        for i, (x, y) in enumerate(lights.at(seconds)):
            lamp = (255, 250, 200) if i % 2 else (240, 40, 30)
            cv2.circle(frame, (x, y), h // 40, lamp, -1)
            cv2.circle(frame, (x + h // 16, y), h // 40, lamp, -1)

    return Background(image, animate)


SCENES: dict[str, Callable[[np.random.Generator, int, int], Background]] = {
    "street": street,
    "court": court,
    "beach": beach,
    "gym": gym,
    "stage": stage,
    "snow": snow,
    "forest": forest,
    "pool": pool,
    "night": night,
}
"""The scenes by name; scene i is the one that goes with action i."""
