"""What the scene of a clip looks like with nobody in it: background plates, as film makers call them."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Shaped
from torch import Tensor

from stal.mixing.layers import Layer
from stal.ops.masks import box_masks, dilate_masks

Plate = Literal["static", "inpaint"]


def empty_scene(layer: Layer, plate: Plate, *, margin: int) -> Layer:
    """Return the scene of a layer: its actors are neither labelled nor seen any more.

    No pixel stays that is an actor's as far as can be known, see `ever_actors`. People who are not annotated in the
    whole clip are a part of its scene; the plate, a median over time, leaves out those who move on.

    A pixel of the plate counts as taken from where the first voxel is from, in time, that shows the scene there; one
    that is filled in, as taken from where the first pixel of the plate is from that is not.

    Args:
        layer: a clip; one without actors is returned as it is.
        plate: `static` for the clip's static plate on all frames (see `static_plate`), `inpaint` for the clip as it
            moves, with the plate in place of its actors.
        margin: pixels around the actors that are removed with them.
    """
    scene = layer.without_actors()
    if len(layer.labels) == 0:
        return scene
    removed = dilate_masks(ever_actors(layer), margin)
    plate_frames = static_plate(layer.frames, removed).unsqueeze(1).expand_as(layer.frames)
    plate_sources = _plate_sources(layer.voxel_sources, ~removed).expand_as(layer.voxel_sources)
    if plate == "static":
        return dataclasses.replace(scene, frames=plate_frames, voxel_sources=plate_sources)
    return dataclasses.replace(
        scene,
        frames=torch.where(removed, plate_frames, layer.frames),
        voxel_sources=torch.where(removed, plate_sources, layer.voxel_sources),
    )


def ever_actors(layer: Layer) -> Bool[Tensor, "T H W"]:
    """Return the voxels of all actors of a layer, also where they may be seen without being labelled.

    Annotations often end with the action, and its actor stays. So an actor without voxels on a frame is taken to be
    where it is on the nearest frame on which it has some (of two the earlier). Where its silhouette is missing in a
    valid box, all that the box holds is its.
    """
    num_actors, num_frames, height, width = layer.volumes.shape
    outlined = layer.volumes.sum(dim=(2, 3)) > 0
    in_box_alone = (layer.valid & ~outlined)[..., None, None]
    volumes = layer.volumes | (box_masks(layer.boxes, height, width) & in_box_alone)
    shown = outlined | layer.valid
    frames = torch.arange(num_frames, device=shown.device)
    distance = (frames[:, None] - frames).abs()
    nearest = torch.where(shown[:, None], distance, num_frames).argmin(dim=2)  # (N, T)
    rows = nearest + num_frames * torch.arange(num_actors, device=shown.device)[:, None]
    held = volumes.flatten(0, 1)[rows.flatten()].view_as(volumes)
    return held.sum(dim=0, dtype=torch.int16) > 0


def static_plate(frames: Shaped[Tensor, "C T H W"], removed: Bool[Tensor, "T H W"]) -> Shaped[Tensor, "C H W"]:
    """Return one image of a scene, made of frames in which somebody may stand before it.

    It is the median over the frames on which a pixel is not removed (of an even number of values the lower one of the
    middle), channel by channel. Pixels that are removed on all frames are filled from around them, see `fill_holes`.

    Args:
        frames: a clip, of bytes or normalised, by a camera that stands still.
        removed: the pixels that do not show the scene.
    """
    seen = ~removed
    known = seen.sum(dim=0, dtype=torch.int16) > 0
    median = _masked_median(frames, seen)
    filled = fill_holes(median.float(), known)
    if not frames.is_floating_point():
        filled = filled.round()
    return torch.where(known, median, filled.to(frames.dtype))


def fill_holes(image: Float32[Tensor, "C H W"], known: Bool[Tensor, "H W"]) -> Float32[Tensor, "C H W"]:
    """Return an image with its unknown pixels filled smoothly from around them; 0 if none is known.

    Pull and push (Gortler et al., "The Lumigraph", 1996): the image is halved, again and again, by the mean of the
    known of four pixels, and each unknown pixel takes its value from the first smaller image that knows its place.

    Args:
        image: what it holds at unknown pixels is of no meaning.
        known: the pixels that are left as they are.
    """
    weighted = torch.where(known, image, 0)
    if known.numel() == 1:
        return weighted
    halved = F.avg_pool2d(torch.cat([weighted, known[None].float()]), kernel_size=2, ceil_mode=True)
    share = halved[-1]
    smaller = fill_holes(halved[:-1] / share.clamp(min=0.25), share > 0)  # at least one of four, if any, is known
    height, width = known.shape
    # Twice the size, and cut: of an odd number of pixels the last pair is half outside, and stays so.
    push = F.interpolate(smaller[None], scale_factor=2, mode="bilinear")[0, :, :height, :width]
    return torch.where(known, image, push)


def _masked_median(frames: Shaped[Tensor, "C T H W"], seen: Bool[Tensor, "T H W"]) -> Shaped[Tensor, "C H W"]:
    """Return the lower median over the frames on which a pixel is seen; of no meaning where it never is."""
    largest = float("inf") if frames.is_floating_point() else torch.iinfo(frames.dtype).max
    images = torch.where(seen, frames, largest).unbind(dim=1)  # what is not seen comes last
    in_order = torch.stack(_sort_images(images), dim=1)
    middle = ((seen.sum(dim=0) - 1) // 2).clamp(min=0)
    return in_order.gather(1, middle.expand(len(frames), 1, *middle.shape)).squeeze(1)


def _sort_images(images: Sequence[Tensor]) -> list[Tensor]:
    """Return images with the values of each pixel in ascending order.

    Batcher's sorting network (merge exchange; Knuth, The Art of Computer Programming, vol. 3, 5.2.2 M). It compares
    whole images, which on the CPU is several times faster than `torch.sort`, which takes the pixels one by one.
    """
    images = list(images)
    num_images = len(images)
    merged = 1
    while merged < num_images:
        step = merged
        while step >= 1:
            for first in range(step % merged, num_images - step, 2 * step):
                for low in range(first, min(first + step, num_images - step)):
                    high = low + step
                    if low // (2 * merged) == high // (2 * merged):
                        smaller = torch.minimum(images[low], images[high])
                        images[high] = torch.maximum(images[low], images[high])
                        images[low] = smaller
            step //= 2
        merged *= 2
    return images


def _plate_sources(voxel_sources: Shaped[Tensor, "T H W"], seen: Bool[Tensor, "T H W"]) -> Shaped[Tensor, "H W"]:
    """Return the clip of the batch that each pixel of a plate counts as taken from."""
    sources, known = voxel_sources[-1], seen[-1]
    for frame in reversed(range(len(seen) - 1)):
        sources, known = torch.where(seen[frame], voxel_sources[frame], sources), known | seen[frame]
    first_pixel = known.flatten().to(torch.uint8).argmax(dim=0)
    return torch.where(known, sources, sources.take(first_pixel))
