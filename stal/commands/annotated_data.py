"""Annotated data by the name that a command line is given: a config, or an annotation file of this project."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from stal.data.formats.tubes_json import read_tubes_json
from stal.engine.build import build
from stal.engine.config import load_config
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations


def read_annotated_data(path: str | Path, options: Mapping[str, Any] | None = None) -> Annotations:
    """Read all videos of a data set, of every split.

    Args:
        path: a config (`.py`), whose `data` is read, or an annotation file of this project (`.json`).
        options: settings of the config to change.

    Raises:
        ConfigError: the config is missing or wrong, or options are given for a file that is no config.
        DataNotFoundError: a file or a folder is missing.
        AnnotationError: the annotations are broken, or of another format.
    """
    if is_config(path, options):
        return build_data(load_config(path, options), path)
    return read_tubes_json(path)


def is_config(path: str | Path, options: Mapping[str, Any] | None = None) -> bool:
    """Whether `path` is a config; if not, it is an annotation file of this project.

    Raises:
        ConfigError: options are given for a file that is no config.
        DataNotFoundError: there is no such file.
        AnnotationError: it is neither.
    """
    path = Path(path)
    if path.suffix == ".py":
        return True
    if not path.exists():
        raise DataNotFoundError(f"{path}: there is no such file; name a config (.py) or an annotation file (.json)")
    if path.is_dir() or path.suffix != ".json":
        raise AnnotationError(
            f"{path}: neither a config (.py) nor an annotation file of this project (.json); other formats are brought "
            f"into it by `python tools/import_annotations.py --format FORMAT {path} --out tubes.json`"
        )
    if options:
        raise ConfigError(f"--cfg-options {', '.join(options)}: {path} is no config; leave them out")
    return False


def build_data(config: Config, path: str | Path) -> Annotations:
    """Read the data of a config.

    Args:
        config: of `load_config`.
        path: its file, for errors.

    Raises:
        StalError: the config has no data, or they cannot be read.
    """
    if "data" not in config:
        raise ConfigError(f"config {path} has no `data`; name a config that trains, such as configs/scenes_plain.py")
    annotations = build(config.data, "data")
    if not isinstance(annotations, Annotations):
        raise ConfigError(f"config {path}: data.type gives a {type(annotations).__name__}, not Annotations")
    return annotations
