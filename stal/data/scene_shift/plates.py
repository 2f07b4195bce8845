"""The scene behind actors: a static background plate, and holes of frames that are filled with it."""

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

Image = UInt8[np.ndarray, "H W 3"]

_TRY_EVERY = 4  # of the frames, to choose a plate
_BAND = 16  # this part of the shorter side is the width of the band in which plates are compared
_COVERED = 256  # above all levels of brightness, so that it is sorted behind them
_MIN_SHARE_SEEN = 0.1  # of the frames: what few of them show may be a part of an actor, or the view of a passing camera
_NUM_ROWS = 64  # sorted at once, which bounds the memory


def best_plate(frames: UInt8[np.ndarray, "N H W 3"], covered: Bool[np.ndarray, "N H W"]) -> Image:
    """Return the static plate, or a flat one, with which `fill_hole` only interpolates: the better of the two.

    If the camera moves, the static plate shows another part of the scene than the hole. Both fill holes that are a
    little wider than those of the frames; the better one is nearer to what is really there.

    Args:
        frames: of one video.
        covered: True on the pixels that do not show the scene; others do, at least one.
    """
    static = static_plate(frames, covered)
    flat = np.zeros_like(static)
    tried = range(0, len(frames), _TRY_EVERY)
    errors = [sum(_error_around(frames[i], covered[i], plate) for i in tried) for plate in (static, flat)]
    return static if errors[0] <= errors[1] else flat


def _error_around(frame: Image, hole: Bool[np.ndarray, "H W"], plate: Image) -> int:
    """Return by how much a filled frame is wrong in a band around its hole."""
    band = max(1, min(hole.shape) // _BAND)
    wider = cv2.dilate(hole.astype(np.uint8), np.ones((2 * band + 1,) * 2, np.uint8)) > 0
    around = wider & ~hole
    return int(cv2.norm(fill_hole(frame, wider, plate)[around], frame[around], cv2.NORM_L1))


def static_plate(frames: UInt8[np.ndarray, "N H W 3"], covered: Bool[np.ndarray, "N H W"]) -> Image:
    """Return the median over frames of what is not covered; what nearly always is comes from around it, smoothly.

    Of an even number of levels the lower one of the middle is taken, so that every level is one that was seen.

    Args:
        frames: of one video.
        covered: True on the pixels that do not show the scene; others do, at least one.
    """
    plate = np.empty(frames.shape[1:], np.uint8)
    num_seen = (~covered).sum(axis=0)
    middle = ((num_seen - 1) // 2).clip(min=0)
    for row in range(0, len(plate), _NUM_ROWS):
        rows = slice(row, row + _NUM_ROWS)
        levels = np.where(covered[:, rows, :, None], np.uint16(_COVERED), frames[:, rows]).astype(np.uint16)
        levels.sort(axis=0)
        plate[rows] = np.take_along_axis(levels, middle[None, rows, :, None], axis=0)[0].clip(max=255)
    is_known = np.asarray(num_seen >= min(_MIN_SHARE_SEEN * len(frames), num_seen.max()))
    return np.where(is_known[..., None], plate, _to_levels(fill_smoothly(plate.astype(np.float32), is_known)))


def fill_hole(frame: Image, hole: Bool[np.ndarray, "H W"], plate: Image) -> Image:
    """Return a frame whose hole shows the plate, shifted in brightness and colour so that no seam is left.

    The shift is the difference of frame and plate around the hole, carried on smoothly into it. No pixel of the hole
    has a part in the result.

    Args:
        frame: of the video.
        hole: True on the pixels to fill.
        plate: of the same video.
    """
    if not hole.any():
        return frame
    shift = fill_smoothly(frame.astype(np.float32) - plate, ~hole)
    return np.where(hole[..., None], _to_levels(plate + shift), frame)


def fill_smoothly(image: Float32[np.ndarray, "H W C"], known: Bool[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W C"]:
    """Return an image with its unknown pixels interpolated from the known ones by push and pull over a pyramid.

    Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4, with averages over areas and bilinear interpolation.

    Args:
        image: any values.
        known: True on the pixels to keep; if there is none, the result is zero.
    """
    weights = known.astype(np.float32)
    return _push_pull(image * weights[..., None], weights)


def _push_pull(weighted: Float32[np.ndarray, "H W C"], weights: Float32[np.ndarray, "H W"]) -> np.ndarray:
    """Fill an image that is multiplied by its weights, which are 0 (unknown) to 1."""
    height, width = weights.shape
    if weights.min() == 1 or (height, width) == (1, 1):
        return weighted / np.maximum(weights, np.finfo(np.float32).tiny)[..., None]
    half = ((width + 1) // 2, (height + 1) // 2)
    coarse_weights = cv2.resize(weights, half, interpolation=cv2.INTER_AREA)
    # A pixel of the pyramid counts in full once one of its four is known.
    gain = np.minimum(1, 4 * coarse_weights) / np.maximum(coarse_weights, np.finfo(np.float32).tiny)
    coarse = cv2.resize(weighted, half, interpolation=cv2.INTER_AREA)
    filled = _push_pull(coarse.reshape(*half[::-1], -1) * gain[..., None], coarse_weights * gain)
    finer = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR).reshape(weighted.shape)
    return weighted + (1 - weights[..., None]) * finer


def _to_levels(image: Float32[np.ndarray, "H W 3"]) -> Image:
    return np.rint(image).clip(0, 255).astype(np.uint8)
