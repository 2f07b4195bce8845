"""Joints of a video's persons, from the files that `docs/annotations.md` describes."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, UInt8

from stal.data.formats import jhmdb_mat
from stal.data.formats.coco_keypoints import read_coco_keypoints
from stal.data.npz_arrays import NpzArrays
from stal.errors import AnnotationError, DataNotFoundError, ShapeError
from stal.structures import JOINTS, Keypoints, Video

_ARRAYS = ("tube_ids", "positions", "visibility")
_SEEN = 2  # COCO's visibility of a joint that is neither hidden nor missing
_JHMDB_NAMES = {"face": "nose"}  # of a joint that COCO has under another name


def read_keypoints(video: Video) -> Keypoints:
    """Read the joints of a video's persons, on every frame.

    Args:
        video: a video that has a `keypoints_path`: an .npz as `write_keypoints` writes it; JHMDB's
            `joint_positions.mat`, of the tube with id 0; or a .json, see `read_coco_keypoints`.

    Raises:
        DataNotFoundError: the video has no such file.
        AnnotationError: the file is broken, of another kind, or not of this video.
    """
    path = video.keypoints_path
    if path is None:
        raise DataNotFoundError(
            f"video {video.key}: its data set has no joints (keypoints_path is None); for scenes, make it with "
            "--keypoints"
        )
    if not path.is_file():
        raise DataNotFoundError(f"{path}: the joints of video {video.key} are not there (docs/annotations.md)")
    readers = {".npz": _read_npz, ".mat": _read_jhmdb, ".json": _read_json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise AnnotationError(f"{path}: joints come from {', '.join(readers)}, not from {path.suffix or 'this'} files")
    try:
        return reader(path, video)
    except ShapeError as error:
        raise AnnotationError(f"{path}: {error}") from error


def write_keypoints(
    path: Path,
    tube_ids: Int[np.ndarray, " N"],
    positions: Float32[np.ndarray, "N T 17 2"],
    visibility: UInt8[np.ndarray, "N T 17"],
) -> None:
    """Write joints as an .npz.

    Args:
        path: the file.
        tube_ids: id of the tube that each person is annotated by, -1 where it is not known.
        positions: of the joints, in continuous pixels of the video.
        visibility: as COCO has it: 0 not there or outside of the image, 1 hidden, 2 seen.
    """
    np.savez_compressed(path, tube_ids=tube_ids, positions=positions, visibility=visibility)


def _read_npz(path: Path, video: Video) -> Keypoints:
    arrays = NpzArrays(path, _ARRAYS)
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise AnnotationError(
            f"{path}: arrays {missing} are missing; there are {arrays.present} (docs/annotations.md has the layout)"
        )
    tube_ids = arrays.integers("tube_ids", (None,))
    shape = (len(tube_ids), video.num_frames, len(JOINTS))
    visibility = arrays.integers("visibility", shape)
    if not np.isin(visibility, (0, 1, _SEEN)).all():
        raise AnnotationError(f"{path}: visibility is 0, 1 or {_SEEN}, not {visibility.min()} to {visibility.max()}")
    positions = arrays.numbers("positions", (*shape, 2)).astype(np.float32)
    return Keypoints(positions, (visibility == _SEEN).astype(np.float32), tube_ids)


def _read_jhmdb(path: Path, video: Video) -> Keypoints:
    found = jhmdb_mat.read_joint_positions(path).image
    if len(found) > video.num_frames:
        raise AnnotationError(
            f"{path}: joints on {len(found)} frames, but video {video.key} has {video.num_frames}; are they those of "
            "another video?"
        )
    names = [_JHMDB_NAMES.get(name, name.replace(" ", "_")) for name in jhmdb_mat.JOINTS]
    positions = np.zeros((1, video.num_frames, len(JOINTS), 2), np.float32)
    scores = np.zeros(positions.shape[:3], np.float32)
    for number, name in enumerate(JOINTS):
        if name in names:
            of_joint = found[:, names.index(name)]
            positions[0, : len(found), number] = of_joint
            inside = (of_joint >= 0) & (of_joint < [video.width, video.height])
            scores[0, : len(found), number] = inside.all(axis=1)
    return Keypoints(positions, scores, np.zeros(1, np.int64))


def _read_json(path: Path, video: Video) -> Keypoints:
    return read_coco_keypoints(path, num_frames=video.num_frames)
