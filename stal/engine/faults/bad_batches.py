"""Batches whose loss or gradient was not finite, as files to look at."""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stal.data.formats.whole_file import open_whole
from stal.data.transforms import PendingClip
from stal.structures import Clip

FOLDER = "bad_batches"
"""Folder of the work directory that they are written to."""

_MAX_FILES = 10  # a batch may be large, and the first are those to look at


def sample_ids(batch: Sequence[Clip | PendingClip]) -> list[str]:
    """Return for each clip of a batch its video and its keyframe."""
    clips = [_clip_of(sample) for sample in batch]
    return [f"{clip.video_key} (keyframe {int(clip.frame_indices[len(clip.frame_indices) // 2])})" for clip in clips]


def write_batch(
    work_dir: Path, name: str, batch: Sequence[Clip | PendingClip], about: Mapping[str, Any]
) -> Path | None:
    """Write a batch as it came from the loader, and return the file; None if enough of them are there already.

    `torch.load` reads it with `weights_only=True`: `about`, and `samples`, a list of dicts with the fields of `Clip`.

    Args:
        work_dir: of the training.
        name: of the file, without its suffix.
        batch: the clips.
        about: what else is to be known, in tensors and plain values.

    Raises:
        ConfigError: it cannot be written.
    """
    folder = work_dir / FOLDER
    if len(list(folder.glob("*.pth"))) >= _MAX_FILES:
        return None
    path = folder / f"{name}.pth"
    content = io.BytesIO()
    torch.save({**about, "samples": [_fields(_clip_of(sample)) for sample in batch]}, content)
    with open_whole(path) as file:
        file.write(content.getbuffer())
    return path


def _clip_of(sample: Clip | PendingClip) -> Clip:
    return sample.clip if isinstance(sample, PendingClip) else sample


def _fields(clip: Clip) -> dict[str, Any]:
    """Return the fields of a clip; each tensor as a copy, since a view would be saved with all that it is a view of."""
    values = {field.name: getattr(clip, field.name) for field in dataclasses.fields(clip)}
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in values.items()}
