"""Silhouettes of a video's actors."""

import logging
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from stal.data.formats.jhmdb_mat import read_part_mask
from stal.data.npz_arrays import read_array
from stal.data.video.reader import Indices, checked_indices
from stal.errors import AnnotationError, DataNotFoundError
from stal.structures import Video

UNKNOWN = 255
"""Value of a voxel of which it is not known whether an actor is there: the actors' boxes are taken in its place."""

_logger = logging.getLogger(__name__)


def read_masks(video: Video, indices: Indices) -> UInt8[np.ndarray, "T H W"]:
    """Read the silhouettes of a video's actors: v at a voxel is the actor with tube id v - 1, 0 no actor.

    `UNKNOWN` stands on every voxel of a frame that a puppet mask does not have, which is logged once for each file.

    Args:
        video: a video that has a `masks_path`: an .npz, or a puppet mask of JHMDB (.mat), which is of the tube with
            id 0.
        indices: 0-based frames, in any order, repeated or not.

    Raises:
        DataNotFoundError: the video has no masks, or their file is missing.
        AnnotationError: the file is broken, or its masks are not those of the video.
        VideoReadError: the video has no such frame.
    """
    path = video.masks_path
    if path is None:
        raise DataNotFoundError(f"video {video.key}: its data set has no silhouettes (masks_path is None)")
    if not path.is_file():
        raise DataNotFoundError(f"{path}: the silhouettes of video {video.key} are not there (data/README.md)")
    wanted = checked_indices(path, indices, video.num_frames)
    read = _read_puppet_mask if path.suffix.lower() == ".mat" else _read_npz
    return read(path, video)[wanted]


def _read_npz(path: Path, video: Video) -> UInt8[np.ndarray, "T H W"]:
    """Return the masks of all frames of a video."""
    return read_array(path, "masks", (video.num_frames, video.height, video.width), np.uint8)


def _read_puppet_mask(path: Path, video: Video) -> UInt8[np.ndarray, "T H W"]:
    """Return the mask of the one actor of a video on all its frames; the last ones may be missing in the file."""
    mask = read_part_mask(path)
    num_missing = video.num_frames - len(mask)
    if mask.shape[1:] != (video.height, video.width) or num_missing < 0:
        raise AnnotationError(
            f"{path}: the mask has {len(mask)} frames of {mask.shape[1]} x {mask.shape[2]} (height x width), but video "
            f"{video.key} has {video.num_frames} of {video.height} x {video.width}; is it the mask of another video?"
        )
    if num_missing == 0:
        return mask
    _log_missing_frames(path, len(mask), video.num_frames)
    return np.pad(mask, ((0, num_missing), (0, 0), (0, 0)), constant_values=UNKNOWN)


@cache
def _log_missing_frames(path: Path, num_masks: int, num_frames: int) -> None:
    _logger.warning("%s: has masks for %d of %d frames; boxes are taken for the others", path, num_masks, num_frames)
