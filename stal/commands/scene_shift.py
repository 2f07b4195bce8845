"""Make a scene-shifted set by the name of a config or annotation file: what tools/make_scene_shift.py does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stal.commands.annotated_data import build_data, is_config, read_annotated_data
from stal.data.scene_shift.kinds import Kind, MaskKind
from stal.data.scene_shift.make import ShiftedSet, make_scene_shift
from stal.engine.config import load_config
from stal.structures import Annotations


def make_scene_shift_of(
    path: str | Path,
    out: str | Path,
    kind: Kind,
    *,
    mask: MaskKind = "box",
    seed: int = 0,
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
    num_processes: int = 1,
    overwrite: bool = False,
    show_progress: bool = False,
) -> ShiftedSet:
    """Make a scene-shifted set, as `make_scene_shift` does, of the data of a config or of an annotation file.

    Args:
        path: a config, or an annotation file of this project.
        out: a folder, empty or not there.
        kind: what to make.
        mask: by what actors are cut out and removed.
        seed: of all chance, not negative.
        split: the videos to shift; None for those that a config tests on, or for all of an annotation file.
        options: settings of the config to change.
        num_processes: that make videos.
        overwrite: replace a shifted set that is in `out`.
        show_progress: show a bar on a terminal.

    Raises:
        StalError: the data cannot be read or have no such split, or as `make_scene_shift`.
    """
    return make_scene_shift(
        read_test_data(path, split, options),
        out,
        kind,
        mask=mask,
        seed=seed,
        num_processes=num_processes,
        overwrite=overwrite,
        show_progress=show_progress,
    )


def read_test_data(path: str | Path, split: str | None = None, options: Mapping[str, Any] | None = None) -> Annotations:
    """Read the videos of a split; None for those that a config tests on, or for all of an annotation file."""
    if is_config(path, options):
        config = load_config(path, options)
        annotations = build_data(config, path)
        return annotations.of_split(split or config.test_dataloader.dataset.split)
    annotations = read_annotated_data(path)
    return annotations if split is None else annotations.of_split(split)
