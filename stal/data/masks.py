"""Silhouettes of a video's actors."""

import zipfile
import zlib

import numpy as np
from jaxtyping import UInt8

from stal.data.video.reader import Indices, checked_indices
from stal.errors import AnnotationError, DataNotFoundError
from stal.structures import Video

UNKNOWN = 255
"""Value of a voxel of which it is not known whether an actor is there: the actors' boxes are taken in its place."""


def read_masks(video: Video, indices: Indices) -> UInt8[np.ndarray, "T H W"]:
    """Read the silhouettes of a video's actors: v at a voxel is the actor with tube id v - 1, 0 no actor.

    `UNKNOWN` stands on every voxel of a frame that the file does not have.


    Args:
        video: a video that has a `masks_path`.
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
    try:
        with np.load(path, allow_pickle=False) as archive:
            masks = archive["masks"]
    except KeyError as error:
        raise AnnotationError(f"{path}: has no array `masks`, only {archive.files}") from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise AnnotationError(f"{path}: not a .npz file with an array `masks` ({error}); generate it again") from error
    shape = (video.num_frames, video.height, video.width)
    if masks.shape != shape or masks.dtype != np.uint8:
        raise AnnotationError(f"{path}: masks are {masks.dtype} {masks.shape}, but the video needs uint8 {shape}")
    return masks[wanted]
