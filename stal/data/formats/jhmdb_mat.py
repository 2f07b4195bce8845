"""The two kinds of MATLAB files of JHMDB: puppet masks, and the positions of joints.

Source: Jhuang et al., Towards understanding action recognition, ICCV 2013, http://jhmdb.is.tue.mpg.de. A puppet was
fitted to the actor of every frame; the mask is what it covers, and its joints are the joints.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from stal.data.formats.mat_file import load_mat
from stal.errors import AnnotationError
from stal.structures import describe

JOINTS = (
    "neck",
    "belly",
    "face",
    "right shoulder",
    "left shoulder",
    "right hip",
    "left hip",
    "right elbow",
    "left elbow",
    "right knee",
    "left knee",
    "right wrist",
    "left wrist",
    "right ankle",
    "left ankle",
)
"""Names of the joints in their order; left and right are the actor's own."""


@dataclass(frozen=True)
class JointPositions:
    """Where the joints of a video's actor are.

    Attributes:
        image: (T, 15, 2) float32 x and y, continuous pixels of the video as boxes have them; perhaps outside of it.
        world: (T, 15, 2) float32 x and y from the middle of the image, in image heights over the size of the puppet.
    """

    image: Float32[np.ndarray, "T 15 2"]
    world: Float32[np.ndarray, "T 15 2"]


def read_part_mask(path: str | Path) -> UInt8[np.ndarray, "T H W"]:
    """Read the mask of a video's actor: `part_mask` (height, width, frames), 1 on the actor and 0 elsewhere.

    Args:
        path: `puppet_mask.mat`.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is damaged, or no such mask.
    """
    mask = load_mat(path, "part_mask")
    # MATLAB drops the last axis of an array with one frame
    if not isinstance(mask, np.ndarray) or mask.ndim not in (2, 3) or mask.size == 0:
        raise AnnotationError(f"{path}: part_mask is {_kind(mask)}, not (height, width, frames); get the file again")
    is_binary = (mask == 0) | (mask == 1)
    if not is_binary.all():
        other = mask[~is_binary]
        raise AnnotationError(
            f"{path}: part_mask is no 0 or 1 at {other.size} of {mask.size} places, but {other[0]} at the first; get "
            "the file again"
        )
    return np.ascontiguousarray(np.moveaxis(np.atleast_3d(mask), 2, 0), np.uint8)


def read_joint_positions(path: str | Path) -> JointPositions:
    """Read the positions of the joints of a video's actor.

    The file counts pixels as MATLAB does: 1 is the middle of the first pixel, which is 0.5 in continuous pixels. The
    joints that annotators placed lie on a grid of 4 pixels, at 2.5, 6.5, ..., the middles of blocks of 4 pixels that
    are counted from 1.

    Args:
        path: `joint_positions.mat`, with `pos_img` and `pos_world` (2, 15, frames).

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is damaged, or the positions are of another shape or not finite.
    """
    image, world = (_positions(path, name) for name in ("pos_img", "pos_world"))
    if image.shape != world.shape:
        raise AnnotationError(f"{path}: pos_img has {len(image)} frames and pos_world {len(world)}; get the file again")
    return JointPositions(image - np.float32(0.5), world)


def _positions(path: str | Path, name: str) -> Float32[np.ndarray, "T 15 2"]:
    """Return the positions in a variable (2, 15, T) as (T, 15, 2)."""
    array = load_mat(path, name)
    if not isinstance(array, np.ndarray) or array.shape[:2] != (2, len(JOINTS)) or array.ndim > 3 or array.size == 0:
        raise AnnotationError(f"{path}: {name} is {_kind(array)}, not (2, 15, frames); get the file again")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        positions = np.atleast_3d(array).transpose(2, 1, 0).astype(np.float32)
    if not np.isfinite(positions).all():
        frame, joint, _ = np.argwhere(~np.isfinite(positions))[0]
        raise AnnotationError(
            f"{path}: {name} has no finite position for the {JOINTS[joint]} on frame {frame}, but "
            f"{positions[frame, joint].tolist()}; get the file again"
        )
    return positions


def _kind(value: object) -> str:
    """Return what a variable is, for an error."""
    return describe(value) if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
