"""From a performance to pixels: the actors on a transparent layer, with their silhouettes and tubes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from stal.data.scenes.drawing import draw_actor
from stal.data.scenes.performances import Performance
from stal.structures import Tube

MIN_INSIDE = 0.25
"""An actor is annotated where at least this part of its silhouette is inside the image ..."""
MIN_VISIBLE = 0.2
"""... and at least this part of that is not hidden by nearer actors."""

_OPAQUE = 128  # a voxel belongs to the silhouette from this alpha


@dataclass(frozen=True)
class ActorLayer:
    """The actors of a performance, to be put on any scene.

    Attributes:
        rgba: (T, H, W, 4) colours, premultiplied with alpha.
        masks: (T, H, W) the visible silhouettes: v is the actor with tube id v - 1, 0 is no actor.
        tubes: one for every actor: the tight boxes of its visible silhouette on the frames where it acts and is
            inside the image and visible enough.
    """

    rgba: UInt8[np.ndarray, "T H W 4"]
    masks: UInt8[np.ndarray, "T H W"]
    tubes: tuple[Tube, ...]


def tight_boxes(silhouettes: Bool[np.ndarray, "T H W"]) -> Float32[np.ndarray, "T 4"]:
    """Return the tight half-open boxes of silhouettes, none of which is empty."""
    _, height, width = silhouettes.shape
    rows, columns = np.any(silhouettes, axis=2), np.any(silhouettes, axis=1)
    x1, y1 = columns.argmax(axis=1), rows.argmax(axis=1)
    x2, y2 = width - columns[:, ::-1].argmax(axis=1), height - rows[:, ::-1].argmax(axis=1)
    return np.stack([x1, y1, x2, y2], axis=1).astype(np.float32)


def render_actors(performance: Performance, width: int, height: int) -> ActorLayer:
    """Draw the actors of a performance on a transparent layer.

    Args:
        performance: the performance.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Returns:
        The layer; an actor without an annotated frame has no tube.
    """
    num_frames, num_actors = len(performance.pan), len(performance.actors)
    margin = height  # around the image, so that the whole silhouette is known: no actor is wider or taller
    canvas = np.zeros((height + 2 * margin, width + 2 * margin, 4), np.uint8)
    image = (slice(margin, margin + height), slice(margin, margin + width))

    rgba = np.zeros((num_frames, height, width, 4), np.uint8)
    masks = np.zeros((num_frames, height, width), np.uint8)
    whole = np.zeros((num_actors, num_frames), np.int64)  # silhouette in pixels, also outside of the image
    inside = np.zeros((num_actors, num_frames), np.int64)
    for k, actor in enumerate(performance.actors):  # far ones first, so that nearer ones cover them
        for t in range(num_frames):
            canvas[:] = 0
            x, y = actor.foot[t] + margin
            draw_actor(canvas, actor.skeleton, t, actor.look, actor.prop, (x, y), actor.height)
            whole[k, t] = np.count_nonzero(canvas[..., 3] >= _OPAQUE)
            cut = canvas[image]
            silhouette = cut[..., 3] >= _OPAQUE
            inside[k, t] = np.count_nonzero(silhouette)
            masks[t][silhouette] = k + 1
            rgba[t] = over(cut, rgba[t])

    tubes = []
    for k, actor in enumerate(performance.actors):
        silhouettes = masks == k + 1
        visible = np.count_nonzero(silhouettes, axis=(1, 2))
        annotated = actor.acting & (inside[k] >= MIN_INSIDE * whole[k]) & (visible >= MIN_VISIBLE * inside[k])
        frames = np.flatnonzero(annotated & (visible > 0))
        if len(frames):
            tubes.append(Tube(actor.label, frames, tight_boxes(silhouettes[frames]), id=k))
    return ActorLayer(rgba, masks, tuple(tubes))


def over(front: UInt8[np.ndarray, "*B 4"], back: UInt8[np.ndarray, "*B C"]) -> UInt8[np.ndarray, "*B C"]:
    """Lay a premultiplied RGBA image over another, or over an opaque RGB one (Porter and Duff 1984)."""
    transparency = 255 - front[..., 3:].astype(np.uint16)
    return front[..., : back.shape[-1]] + ((back * transparency + 127) // 255).astype(np.uint8)
