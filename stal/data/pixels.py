"""What transforms do to the pixels of a clip, in the CPU's memory as on any other device.

Frames are (C, T, H, W) as everywhere. In memory they stay as they were decoded, pixel after pixel (T, H, W, C): to
reorder them costs more than any of the operations, and is left to the device that stacks clips to a batch.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def stretch(frames: UInt8[Tensor, "C T _ _"], height: int, width: int) -> UInt8[Tensor, "C T {height} {width}"]:
    """Resample frames to `height` x `width`: bilinear, with a low-pass when shrinking."""
    images = frames.transpose(0, 1)
    if _in_memory(images):
        return F.interpolate(images, (height, width), mode="bilinear", antialias=True).transpose(0, 1)
    values = F.interpolate(images.float(), (height, width), mode="bilinear", antialias=True)
    return _to_uint8(values).transpose(0, 1)


def cut(
    frames: UInt8[Tensor, "C T _ _"], top: int, left: int, height: int, width: int
) -> UInt8[Tensor, "C T {height} {width}"]:
    """Return the window of frames whose first pixel is at row `top`, column `left`, black where there is no pixel."""
    channels, length, old_height, old_width = frames.shape
    rows = slice(max(top, 0), min(top + height, old_height))
    columns = slice(max(left, 0), min(left + width, old_width))
    kept = frames[:, :, rows, columns]
    if kept.shape[2:] == (height, width):
        return kept
    window = frames.new_zeros(length, height, width, channels).permute(3, 0, 1, 2)
    window[:, :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = kept
    return window


def mirror(frames: UInt8[Tensor, "C T H W"]) -> UInt8[Tensor, "C T H W"]:
    """Return frames with left and right exchanged."""
    if _in_memory(frames):
        return _each_image(frames, lambda image, flipped: cv2.flip(image, 1, flipped))
    return frames.flip(-1)


def recolour(
    frames: UInt8[Tensor, "3 T H W"], brightness: float, contrast: float, saturation: float
) -> UInt8[Tensor, "3 T H W"]:
    """Scale the values of frames, their distance from the mean grey, and their distance from the pixel's own grey.

    The three are linear in RGB and applied as one 3 x 4 matrix, rounded and cut to 0..255 once.

    Args:
        frames: RGB.
        brightness: factor of the values, 1 = unchanged.
        contrast: factor of the distance from the mean grey of all frames.
        saturation: factor of the distance from the pixel's own grey.
    """
    mix = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * _LUMA)
    images = frames.permute(1, 2, 3, 0)
    if _in_memory(frames):
        mean_colour = np.mean([cv2.mean(image)[:3] for image in images.numpy()], axis=0)
        offset = brightness * (1 - contrast) * (_LUMA @ mean_colour)
        matrix = np.column_stack([mix, np.full(3, offset)])
        return _each_image(frames, lambda image, changed: cv2.transform(image, matrix, changed))
    luma = torch.tensor(_LUMA, device=frames.device)
    mean_grey = (images.sum((0, 1, 2)) * luma).sum() / images[..., 0].numel()
    # No matrix product: under autocast that would be rounded to half precision.
    columns = torch.tensor(mix.T, dtype=torch.float32, device=frames.device)
    scaled = sum(images[..., c, None] * column for c, column in enumerate(columns))
    return _to_uint8(scaled + (brightness * (1 - contrast) * mean_grey).float()).permute(3, 0, 1, 2)


def _in_memory(frames: Tensor) -> bool:
    """Whether frames are in the CPU's memory, where torch resamples uint8 values and OpenCV is faster than torch."""
    return frames.device.type == "cpu"


def _each_image(
    frames: UInt8[Tensor, "C T H W"], function: Callable[[np.ndarray, np.ndarray], object]
) -> UInt8[Tensor, "C T H W"]:
    """Return what a function of OpenCV makes of each image; it is given the image and a place for the result."""
    images = frames.permute(1, 2, 3, 0).numpy()
    results = np.empty(images.shape, np.uint8)
    for image, result in zip(images, results, strict=True):
        function(image, result)
    return torch.from_numpy(results).permute(3, 0, 1, 2)


def _to_uint8(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
