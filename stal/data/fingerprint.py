"""Digests that tell data sets apart."""

import hashlib
import json
import os
from pathlib import Path

from stal.structures import Annotations

_LENGTH = 16


def annotations_digest(annotations: Annotations) -> str:
    """Return a digest of all that annotations say of their videos, wherever these lie."""
    total = hashlib.sha256(json.dumps(annotations.classes).encode())
    for video in annotations.videos:
        about = [video.key, video.num_frames, video.height, video.width, video.fps, video.split, video.scene]
        tubes = [(tube.label, tube.id, len(tube)) for tube in video.tubes]
        total.update(json.dumps([*about, video.masks_path is not None, tubes]).encode())
        for tube in video.tubes:
            total.update(tube.frames.tobytes())
            total.update(tube.boxes.tobytes())
    return total.hexdigest()[:_LENGTH]


def data_fingerprint(annotations: Annotations) -> dict[str, str]:
    """Return digests of the annotations of a data set and of the files of its videos, as they are now."""
    return {"annotations": annotations_digest(annotations), "files": files_digest(annotations)}


def files_digest(annotations: Annotations) -> str:
    """Return a digest of the names and sizes of the files of the videos; their contents take hours to read."""
    total = hashlib.sha256()
    for video in annotations.videos:
        total.update(json.dumps([video.key, _sizes(video.path)]).encode())
    return total.hexdigest()[:_LENGTH]


def _sizes(path: Path) -> int | dict[str, int] | None:
    """Return the size of a file, those of the files in a folder of frames, or None if there is neither."""
    if path.is_dir():
        with os.scandir(path) as entries:
            return dict(sorted((entry.name, entry.stat().st_size) for entry in entries))
    return path.stat().st_size if path.exists() else None
