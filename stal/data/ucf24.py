"""UCF101-24: the 24 classes of UCF101 whose actors are annotated with tubes, with the corrected annotations.

Source of the videos: Soomro et al., UCF101, CRCV-TR-12-01, 2012; of the annotations: Singh et al., Online Real-time
Multiple Spatiotemporal Action Localisation and Prediction, ICCV 2017. Their files and formats are described in
`stal.data.formats.ucf24_pickle`, `stal.data.formats.ucf24_mat` and `stal.data.ucf_splits`.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stal.data.find_videos import VIDEO_SUFFIXES, find_videos
from stal.data.formats.ucf24_annotations import TEST_LIST, check_choice, choose, divide
from stal.data.formats.ucf24_mat import load_final_annots
from stal.data.formats.ucf24_pickle import load_pyannot
from stal.data.ucf_splits import check_fold, read_ucf_splits, with_splits
from stal.errors import ConfigError, DataNotFoundError
from stal.structures import Annotations

SPLIT_LISTS = "ucfTrainTestlist"

_logger = logging.getLogger(__name__)


def read_ucf24(
    root: str | Path = "data/ucf24",
    *,
    split: str | None = None,
    fold: int = 1,
    classes: Sequence[str] | None = None,
    video_root: str | Path | None = None,
    annotation_file: str | Path | None = None,
    test_list: str | Path | None = None,
    split_lists: str | Path | None = None,
    allow_missing: bool = False,
) -> Annotations:
    """Read the annotations of UCF101-24, and find its videos.

    The splits of fold 1 come with the annotations; those of the others are the official lists of UCF101, whose videos
    of other classes are ignored.

    Args:
        root: folder in which the next four are looked for unless they are given.
        split: `train` or `test`; None for both.
        fold: number of the division into train and test, from 1 to 3. Nearly all published results are of fold 1.
        classes: the classes to keep, in the order of their labels; None for all 24 in alphabetical order.
        video_root: holds `<Class>/<name>.avi`, or folders of frames `<Class>/<name>/`; `<root>/videos` if None.
        annotation_file: `pyannot.pkl`, `pyannot_with_class_names.pkl` or `finalAnnots.mat`, whatever its name is;
            `<root>/pyannot.pkl` if None.
        test_list: names the test videos of fold 1; `<root>/testlist01.txt` if None. The pickle with class names does
            without.
        split_lists: folder of official lists, to be used in place of a test list; `<root>/ucfTrainTestlist` if None
            and `fold` is not 1.
        allow_missing: keep the videos that are there, and log how many are not, instead of raising.

    Raises:
        DataNotFoundError: a file or folder is missing, or videos are and `allow_missing` is False, or all of them are.
        AnnotationError: an annotation file is broken, of another format, or at odds with another one.
        ConfigError: there is no such split, fold or class, or `test_list` is given where official lists are used.
    """
    root = Path(root)
    check_choice(split, classes)
    check_fold(fold)
    if fold != 1 and split_lists is None:
        split_lists = root / SPLIT_LISTS
    if split_lists is not None and test_list is not None:
        raise ConfigError(
            f"test_list {test_list} is of fold 1 and without the official lists, but fold {fold} was chosen with "
            f"split_lists {split_lists}; give one of them"
        )
    video_root = Path(video_root or root / "videos")
    annotation_file = Path(annotation_file or root / "pyannot.pkl")
    _check_paths(video_root, annotation_file, test_list, split_lists, root / TEST_LIST)

    annotations = _load_annotations(annotation_file)
    if split_lists is None:
        annotations = divide(annotations, annotation_file, test_list, fallback=root / TEST_LIST)
    else:
        annotations = with_splits(annotations, read_ucf_splits(split_lists, fold=fold), Path(split_lists))
    annotations = choose(annotations, split, classes)

    paths = find_videos(video_root, [video.key for video in annotations.videos])
    missing = [video.key for video in annotations.videos if video.key not in paths]
    _report_missing(missing, len(annotations.videos), video_root, allow_missing)
    videos = [replace(video, path=paths[video.key]) for video in annotations.videos if video.key in paths]
    return replace(annotations, videos=tuple(videos))


def _load_annotations(file: Path) -> Annotations:
    """Return all videos of one of the files of annotations; which one it is shows in its content."""
    with file.open("rb") as stream:
        is_mat = stream.read(6) == b"MATLAB"
    return load_final_annots(file) if is_mat else load_pyannot(file)


def _check_paths(
    video_root: Path,
    annotation_file: Path,
    test_list: str | Path | None,
    split_lists: str | Path | None,
    default_list: Path,
) -> None:
    """Raise with everything that is missing at once, before anything slow is begun."""
    missing = [f"the folder of videos {video_root}"] if not video_root.is_dir() else []
    missing += [f"the annotations {annotation_file}"] if not annotation_file.is_file() else []
    if split_lists is not None:
        missing += [f"the official lists {split_lists}"] if not Path(split_lists).is_dir() else []
    elif test_list is not None or missing:  # annotations that are there may have the splits in them
        path = Path(test_list or default_list)
        missing += [f"the test list {path}"] if not path.is_file() else []
    if missing:
        raise DataNotFoundError(
            f"UCF101-24 is not here: missing are {', '.join(missing)} (looked for from {Path.cwd()}); "
            "data/README.md says where to get them and how to lay them out"
        )


def _report_missing(missing: Sequence[str], num_wanted: int, video_root: Path, allow_missing: bool) -> None:
    """Raise or log that videos are missing."""
    if not missing:
        return
    found_none = len(missing) == num_wanted
    message = f"{len(missing)} of {num_wanted} videos of UCF101-24 are missing in {video_root}"
    if found_none or not allow_missing:
        raise DataNotFoundError(
            f"{message}: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}; looked for "
            f"{video_root / missing[0]}.avi (or {', '.join(VIDEO_SUFFIXES[1:])}, or a folder of frames); see "
            f"data/README.md{'' if found_none else ', or use allow_missing=True to go on with those that are there'}"
        )
    _logger.warning("%s; going on with the other %d", message, num_wanted - len(missing))
    _logger.debug("missing videos: %s", ", ".join(missing))
