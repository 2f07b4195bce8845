"""Ground truth of an evaluation, from any of the files in which it is kept."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stal.data.detection_files import read_annotations
from stal.data.formats.act_pickle import is_act_pickle, parse_act_pickle
from stal.data.formats.pickles import load_pickle
from stal.data.formats.tubes_json import read_tubes_json
from stal.data.formats.ucf24_annotations import read_chosen
from stal.data.formats.ucf24_mat import read_final_annots
from stal.data.formats.ucf24_pickle import parse_pyannot
from stal.data.truth_arrays import GroundTruth
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations

_KINDS = (
    "this project's JSON (begins with `{`), an .npz with gt_* (begins with `PK`), pyannot.pkl or finalAnnots.mat of "
    "UCF101-24, or a pickle like JHMDB-GT.pkl"
)


def read_ground_truth(path: str | Path, *, split: str | None = None) -> GroundTruth:
    """Read the ground truth that is scored against; what kind of file it is shows in its content.

    Args:
        path: JSON of this project, .npz in the layout of detections files, annotations of UCF101-24 (`pyannot.pkl` or
            `finalAnnots.mat` with `testlist01.txt` beside it, `pyannot_with_class_names.pkl`), or a pickle in the
            format of ACT (`UCF101v2-GT.pkl`, `JHMDB-GT.pkl`).
        split: a split of the JSON file; `train` or `test` of UCF101-24; `1`, `2` or `3` of an ACT pickle. If None, the
            only split of the file, and `test` of UCF101-24.

    Raises:
        DataNotFoundError: there is no such file, or annotations of UCF101-24 have no test list beside them.
        AnnotationError: it is a folder, of none of these kinds, broken, or invalid.
        ConfigError: it has no such split, or several and none was chosen.
    """
    path = Path(path)
    if path.is_dir():
        raise AnnotationError(f"{path}: this is a folder; name the file in it: {_KINDS}")
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such ground truth file")
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        raise AnnotationError(f"{path}: the file is empty; ground truth is {_KINDS}")
    if start.startswith(b"PK"):
        if split is not None:
            raise ConfigError(f"{path}: an .npz has no splits, but {split!r} was chosen; leave the split out")
        return read_annotations(path)
    if start.startswith((b"{", b"[")):
        return GroundTruth(_read_json(path, split), half_open=True)
    if start.startswith(b"MATLAB"):
        return GroundTruth(read_final_annots(path, split="test" if split is None else split), half_open=True)
    return _read_pickle(path, split)


def _read_json(path: Path, split: str | None) -> Annotations:
    """Return one split of a JSON file."""
    annotations = read_tubes_json(path, split)
    splits = sorted({video.split for video in annotations.videos})
    if len(splits) > 1:
        raise ConfigError(f"{path}: has the splits {', '.join(splits)}; choose one with `split`")
    return annotations


def _read_pickle(path: Path, split: str | None) -> GroundTruth:
    """Return the ground truth of one of the pickles that are known."""
    try:
        raw = load_pickle(path)
    except AnnotationError as error:
        raise AnnotationError(f"{error}, or name another file: ground truth is {_KINDS}") from error
    if is_act_pickle(raw):
        return GroundTruth(_parse_test_videos(raw, path, split), half_open=False)
    if isinstance(raw, Mapping) and ("db" in raw or all("/" in str(key) for key in raw)):
        load = partial(parse_pyannot, raw)
        return GroundTruth(read_chosen(load, path, None, "test" if split is None else split, None), half_open=True)
    keys = f" with the keys {sorted(map(str, raw))[:5]}" if isinstance(raw, Mapping) else ""
    raise AnnotationError(f"{path}: ground truth is {_KINDS}, but this is a pickled {type(raw).__name__}{keys}")


def _parse_test_videos(raw: Any, path: Path, split: str | None) -> Annotations:
    """Return the test videos of one of the splits of an ACT pickle, which are its folds."""
    if split is not None and not split.isdecimal():
        raise ConfigError(f"{path}: has no split {split!r}; its splits are 1, 2, ..., and their test videos are taken")
    return parse_act_pickle(raw, path, fold=None if split is None else int(split), split="test", half_open=False)
