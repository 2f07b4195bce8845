"""JHMDB-21: 928 short videos of 21 actions, each of one actor, with a silhouette on every frame and three folds.

Source: Jhuang et al., Towards understanding action recognition, ICCV 2013, http://jhmdb.is.tue.mpg.de. Its archives are
the frames, the puppet masks and the lists of the folds; boxes are not among them. The field's boxes are those of
`JHMDB-GT.pkl` (Kalogeiton et al., ICCV 2017), which are the bounding boxes of the masks. Where a mask is shorter than
its video (three are, by 1 to 7 frames), the pickle repeats the last box. So boxes made from the masks are the same.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from stal.data.find_videos import find_videos
from stal.data.formats.act_pickle import read_act_pickle
from stal.data.formats.jhmdb_mat import read_part_mask
from stal.data.formats.jhmdb_splits import read_jhmdb_splits
from stal.data.video.reader import count_frames
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.ops.masks import mask_boxes
from stal.structures import Annotations, Tube, Video

CLASSES = (
    "brush_hair",
    "catch",
    "clap",
    "climb_stairs",
    "golf",
    "jump",
    "kick_ball",
    "pick",
    "pour",
    "pullup",
    "push",
    "run",
    "shoot_ball",
    "shoot_bow",
    "shoot_gun",
    "sit",
    "stand",
    "swing_baseball",
    "throw",
    "walk",
    "wave",
)
VIDEO_FOLDERS = ("Rename_Images", "ReCompress_Videos", "Frames")  # of the official archives, and of ACT's
MASK_FOLDERS = ("puppet_mask", "mask")
JOINT_FOLDER = "joint_positions"
SPLIT_FOLDER = "splits"
ANNOTATION_FILE = "JHMDB-GT.pkl"

_logger = logging.getLogger(__name__)


def read_jhmdb(
    root: str | Path = "data/jhmdb",
    *,
    fold: int = 1,
    split: str | None = None,
    video_root: str | Path | None = None,
    annotation_file: str | Path | None = None,
    mask_root: str | Path | None = None,
    allow_missing: bool = False,
) -> Annotations:
    """Read the annotations of JHMDB-21, and find its videos, silhouettes and joints.

    The annotations come from `JHMDB-GT.pkl`. If it is not there, they are made of the lists in `<root>/splits` and the
    silhouettes, all of which are opened; if both are there, the lists have to agree with the pickle. Videos have joints
    where `<root>/joint_positions/<class>/<video>/joint_positions.mat` is there.

    Args:
        root: folder in which the next three are looked for unless they are given.
        fold: number of the division into train and test, from 1 to 3.
        split: `train` or `test`; None for both.
        video_root: holds folders of frames `<class>/<video>/`, or `<class>/<video>.avi`; the first of `VIDEO_FOLDERS`
            in `root` if None.
        annotation_file: `<root>/JHMDB-GT.pkl` if None, where that exists.
        mask_root: holds `<class>/<video>/puppet_mask.mat` or `<class>/<video>.mat`; the first of `MASK_FOLDERS` in
            `root` if None. Without it videos have no silhouettes.
        allow_missing: keep the videos that are there, and log how many videos and silhouettes are not, instead of
            raising.

    Raises:
        DataNotFoundError: a file or folder is missing, or videos or silhouettes are and `allow_missing` is False, or
            all of them are.
        AnnotationError: a file is broken, of another format, or at odds with another one.
        ConfigError: there is no such fold or split.
    """
    root = Path(root)
    if split not in ("train", "test", None):
        raise ConfigError(f"JHMDB-21 has no split {split!r}; it has 'train' and 'test', and None takes both")
    if fold not in (1, 2, 3):
        raise ConfigError(f"JHMDB-21 has no fold {fold!r}; it has 1, 2 and 3")
    video_root = Path(video_root or _first_folder(root, VIDEO_FOLDERS))
    given_masks = [] if mask_root is None else [Path(mask_root)]
    mask_root = Path(mask_root or _first_folder(root, MASK_FOLDERS))
    split_folder = root / SPLIT_FOLDER
    pickle_path = Path(annotation_file or root / ANNOTATION_FILE)
    annotated = None
    if annotation_file or pickle_path.is_file():
        _check_paths(video_root, pickle_path, *given_masks)
        annotated = read_act_pickle(pickle_path, fold=fold)
        splits = {video.key: video.split for video in annotated.videos}
        if split_folder.is_dir():
            lists = read_jhmdb_splits(split_folder, fold=fold, classes=annotated.classes)
            _check_agreement(splits, lists, pickle_path, split_folder)
    else:
        _check_paths(video_root, split_folder, mask_root, instead_of=pickle_path)
        splits = read_jhmdb_splits(split_folder, fold=fold, classes=CLASSES)

    keys = [key for key in splits if split in (None, splits[key])]
    paths = find_videos(video_root, keys)
    _report_missing("videos", keys, paths, video_root, allow_missing)
    masks = {}
    if mask_root.is_dir():
        masks = _find_masks(mask_root, paths)
        _report_missing("silhouettes", list(paths), masks, mask_root, allow_missing)
    else:
        _logger.warning("%s is not there, so the videos of JHMDB-21 have no silhouettes", mask_root)

    classes: tuple[str, ...] = CLASSES
    if annotated is None:
        videos = [_make_video(key, splits[key], paths[key], masks[key]) for key in masks]
    else:
        classes = annotated.classes
        videos = [
            replace(video, path=paths[video.key], masks_path=masks.get(video.key))
            for video in annotated.videos
            if video.key in paths
        ]
    return Annotations(classes, tuple(_with_joints(video, root / JOINT_FOLDER) for video in videos))


def _first_folder(root: Path, names: Sequence[str]) -> Path:
    """Return the first folder of `names` that is in `root`; the first name if there is none."""
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])


def _check_paths(*paths: Path, instead_of: Path | None = None) -> None:
    """Raise with everything that is missing at once, before anything slow is begun."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        without = "" if instead_of is None else f"; where {instead_of} is not there, lists and silhouettes are needed"
        raise DataNotFoundError(
            f"JHMDB-21 is not here: missing are {', '.join(missing)} (looked for from {Path.cwd()}){without}; "
            "data/README.md says where to get them and how to lay them out"
        )


def _check_agreement(
    splits: Mapping[str, str], lists: Mapping[str, str], pickle_path: Path, split_folder: Path
) -> None:
    """Raise unless the pickle and the official lists divide the same videos in the same way."""
    differing = sorted(key for key in splits.keys() | lists.keys() if splits.get(key) != lists.get(key))
    if differing:
        key = differing[0]
        raise AnnotationError(
            f"{pickle_path} and {split_folder} differ in {len(differing)} videos: {key} is of split "
            f"{splits.get(key, 'none')} in the first and of {lists.get(key, 'none')} in the second; take both from "
            "their sources, or move the one that is not to be used elsewhere"
        )


def _find_masks(mask_root: Path, keys: Iterable[str]) -> dict[str, Path]:
    """Return where the silhouettes are, in either of the two layouts; a key without them is left out."""
    layouts = [(key, (mask_root / key / "puppet_mask.mat", mask_root / f"{key}.mat")) for key in keys]
    found = ((key, next((path for path in candidates if path.is_file()), None)) for key, candidates in layouts)
    return {key: path for key, path in found if path is not None}


def _with_joints(video: Video, folder: Path) -> Video:
    """Return a video with the path of its joints, if they are there."""
    path = folder / video.key / "joint_positions.mat"
    return replace(video, keypoints_path=path) if path.is_file() else video


def _report_missing(
    what: str, wanted: Sequence[str], found: Collection[str], folder: Path, allow_missing: bool
) -> None:
    """Raise or log that videos or silhouettes are missing."""
    missing = [key for key in wanted if key not in found]
    if not missing:
        return
    message = f"{len(missing)} of {len(wanted)} {what} of JHMDB-21 are missing in {folder}"
    if not found or not allow_missing:
        raise DataNotFoundError(
            f"{message}: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}; see data/README.md"
            f"{', or use allow_missing=True to go on with those that are there' if found else ''}"
        )
    _logger.warning("%s; going on with the other %d", message, len(found))
    _logger.debug("missing %s: %s", what, ", ".join(missing))


def _make_video(key: str, split: str, path: Path, masks_path: Path) -> Video:
    """Return a video with the tube of the boxes around its silhouettes."""
    mask = read_part_mask(masks_path)
    num_frames = count_frames(path)
    if len(mask) > num_frames:
        raise AnnotationError(f"{masks_path}: has {len(mask)} frames, but {path} only {num_frames}; get both again")
    boxes, seen = (tensor.numpy() for tensor in mask_boxes(torch.from_numpy(mask == 1)))
    nearest = np.minimum(np.arange(num_frames), len(mask) - 1)  # the last box is repeated
    frames = np.flatnonzero(seen[nearest])
    if len(frames) == 0:
        raise AnnotationError(f"{masks_path}: the mask is empty on every frame; get the file again")
    if len(mask) < num_frames:
        _logger.warning("%s: has %d of %d frames; the last box is repeated", masks_path, len(mask), num_frames)
    if len(frames) < num_frames:
        num_empty = num_frames - len(frames)
        _logger.warning("%s: empty on %d of %d frames, which get no box", masks_path, num_empty, num_frames)
    _, height, width = mask.shape
    tube = Tube(CLASSES.index(key.split("/")[0]), frames, boxes[nearest][frames])
    return Video(key, path, num_frames, height, width, tubes=(tube,), split=split, masks_path=masks_path)
