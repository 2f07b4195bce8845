"""The frames of a shifted video, one after the other."""

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from stal.data.prepare.all_frames import iterate_frames
from stal.data.scene_shift.actors import ActorMasks, find_actors, sample_frames
from stal.data.scene_shift.kinds import Kind, MaskKind
from stal.data.scene_shift.plates import best_plate, fill_hole
from stal.errors import AnnotationError
from stal.structures import Video

Image = UInt8[np.ndarray, "H W 3"]

GREY = 128
"""The level of all colours around the actors of the kind `actor_only`."""


def shifted_frames(
    video: Video, kind: Kind, mask: MaskKind, donor: Video | None, rng: np.random.Generator
) -> Iterator[Image]:
    """Make the frames of a shifted video; in memory are one frame of each video, and the samples of a plate.

    Args:
        video: the source of the actors; for `scene_only`, of the scene.
        kind: what to make.
        mask: by what actors are cut out and removed.
        donor: of the scene, for the kinds `swap` and `still`, else None.
        rng: draws the stripes.

    Raises:
        StalError: a video or its silhouettes cannot be read, or actors hide all of a scene.
    """
    actors = find_actors(video, mask)
    if kind == "scene_only":
        yield from itertools.islice(moving_scene(actors, range(video.num_frames)), video.num_frames)
        return
    size = (video.height, video.width)
    backs: Iterator[Image]
    if donor is not None:
        lender = find_actors(donor, mask)
        backs = itertools.repeat(still_scene(lender)) if kind == "still" else moving_scene(lender, lender.span())
        backs = (fit(back, *size) for back in backs)
    else:
        backs = itertools.repeat(stripes(rng, *size) if kind == "stripe" else np.full((*size, 3), GREY, np.uint8))
    for index, (frame, back) in enumerate(zip(iterate_frames(video), backs, strict=False)):
        yield paste(frame, actors.annotated(index), back)


def paste(front: Image, mask: Bool[np.ndarray, "H W"], back: Image) -> Image:
    """Return the pixels of `front` where the mask is True, and those of `back` elsewhere; the edge is hard."""
    return np.where(mask[..., None], front, back)


def fit(image: Image, height: int, width: int) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Return an image scaled until it covers the size, and cut about its centre to it."""
    if image.shape[:2] == (height, width):
        return image
    scale = max(height / image.shape[0], width / image.shape[1])
    scaled_height, scaled_width = max(round(image.shape[0] * scale), height), max(round(image.shape[1] * scale), width)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(image, (scaled_width, scaled_height), interpolation=interpolation)
    top, left = (scaled_height - height) // 2, (scaled_width - width) // 2
    return scaled[top : top + height, left : left + width]


def stripes(rng: np.random.Generator, height: int, width: int) -> Image:
    """Draw sinusoidal stripes of two random colours in a random direction, as SCUBA-Sinusoid has them.

    Li et al., arXiv 2211.12883, whose parameters are not published in the paper; ours are a period of 1/16 to 1/4 of
    the shorter side, and any direction, phase and colours.
    """
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    period = min(height, width) * rng.uniform(1 / 16, 1 / 4)
    colours = rng.uniform(0, 255, (2, 3))
    y, x = np.mgrid[:height, :width]
    weight = 0.5 + 0.5 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase)[..., None]
    return np.rint((1 - weight) * colours[0] + weight * colours[1]).astype(np.uint8)


def moving_scene(actors: ActorMasks, frames: range) -> Iterator[Image]:
    """Return frames of a video without its actors, from the first of them on again when they are over.

    Args:
        actors: of the video.
        frames: consecutive ones, at least one.
    """
    plate = best_plate(*_sample(actors, frames))
    while True:
        shown = itertools.islice(iterate_frames(actors.video), frames.start, frames.stop)
        for index, frame in zip(frames, shown, strict=True):
            yield fill_hole(frame, actors.to_remove(index), plate)


def still_scene(actors: ActorMasks) -> Image:
    """Return one frame of a video without its actors: of the samples, the first of those that they cover the least."""
    frames, covered = _sample(actors, actors.span())
    emptiest = covered.mean(axis=(1, 2)).argmin()
    return fill_hole(frames[emptiest], covered[emptiest], best_plate(frames, covered))


def _sample(actors: ActorMasks, frames: range) -> tuple[UInt8[np.ndarray, "N H W 3"], Bool[np.ndarray, "N H W"]]:
    """Return samples that are spread evenly over consecutive frames of a video, and where actors cover them."""
    indices = sample_frames(frames)
    wanted = set(indices)
    all_frames = enumerate(itertools.islice(iterate_frames(actors.video), frames.stop))
    sampled = np.stack([frame for index, frame in all_frames if index in wanted])
    covered = np.stack([actors.to_remove(index) for index in indices])
    if covered.all():
        raise AnnotationError(
            f"video {actors.video.key}: its actors cover all of every frame, and so nothing is known of its scene"
        )
    return sampled, covered
