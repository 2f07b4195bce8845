"""The sets of videos that a model is tested on: splits of its config's data, and folders or files beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from stal.data.formats.tubes_json import read_tubes_json
from stal.data.scene_shift.manifest import ANNOTATIONS_FILE
from stal.engine.build import build_all_annotations
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations


@dataclass(frozen=True)
class TestedSet:
    """A set of videos to test on.

    Attributes:
        given: what it was asked for by: a split, or the path of a folder or an annotation file.
        name: of its files: the split, the name of the folder, or that of the file without its suffix.
        annotations: its videos.
    """

    given: str
    name: str
    annotations: Annotations


@dataclass(frozen=True)
class SetOutputs:
    """What is written of the test on one set.

    Attributes:
        metrics: file for the metrics.
        dump: .npz for detections, tubes and ground truth; None for none.
    """

    metrics: Path
    dump: Path | None = None


def read_tested_sets(config: Config, given: Sequence[str]) -> list[TestedSet]:
    """Read sets of videos.

    Args:
        config: a whole config.
        given: for each set a split of the config's data; or, if that has no such split, a folder with an
            `annotations.json`, as `tools/make_scene_shift.py` makes them, or an annotation file of this project, of
            which all videos are taken.

    Raises:
        AnnotationError: there is no such split, the annotations are broken, or have other classes than the config's.
        ConfigError: two sets have one name.
        DataNotFoundError: a file is missing.
    """
    of_config = build_all_annotations(config)
    sets = [_read(of_config, name) for name in given]
    names = [tested.name for tested in sets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"--split {' '.join(given)}: two sets are named {twice!r}; name each once, or rename a folder"
        )
    return sets


def _read(of_config: Annotations, given: str) -> TestedSet:
    splits = sorted({video.split for video in of_config.videos})
    if given in splits:
        return TestedSet(given, given, of_config.of_split(given))
    path = Path(given)
    if not path.exists():
        raise AnnotationError(
            f"--split {given}: no video has split {given!r}, and there is no such folder or annotation file; the "
            f"splits are {splits}"
        )
    file = path / ANNOTATIONS_FILE if path.is_dir() else path
    if not file.is_file():
        raise DataNotFoundError(
            f"--split {given}: the folder has no {ANNOTATIONS_FILE}; name one that tools/make_scene_shift.py has "
            "finished, or an annotation file"
        )
    annotations = read_tubes_json(file)
    if annotations.classes != of_config.classes:
        raise AnnotationError(
            f"{file} has the classes {', '.join(annotations.classes)}, but the config's data have "
            f"{', '.join(of_config.classes)}: its labels would mean other actions; test with a config of these classes "
            "in this order, or make the set of the config's own data"
        )
    if not annotations.videos:
        raise AnnotationError(f"{file} has no videos; make the set anew")
    name = file.absolute().parent.name if file.name == ANNOTATIONS_FILE else file.stem
    return TestedSet(given, name, annotations)
