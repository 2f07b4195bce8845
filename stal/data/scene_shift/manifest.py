"""What a shifted set was made of: `manifest.json`, which also says that a folder is one.

    {"format": "stal-scene-shift", "version": 1, "is_complete": true,
     "kind": "swap", "mask": "box", "seed": 0,
     "videos": [{"key": ..., "num_frames": ..., "scene": ...,
                 "source": {"path": ..., "sha256": ...},
                 "donor": {"key": ..., "path": ..., "sha256": ...}}],    null for kinds without one
     "skipped": [{"key": ..., "reason": ...}]}

It is written before the first video, with `is_complete` false, and once more after the last one.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from stal.data.formats.whole_file import open_whole
from stal.data.prepare.manifest import writing_to
from stal.errors import ConfigError

ANNOTATIONS_FILE = "annotations.json"
MANIFEST_FILE = "manifest.json"
VIDEO_FOLDER = "videos"

_HEADER = {"format": "stal-scene-shift", "version": 1}


def write_manifest(out: Path, content: dict[str, Any]) -> None:
    """Write the manifest of a folder, as a whole or not at all.

    Args:
        out: the folder.
        content: all but the format and its version.

    Raises:
        ConfigError: it cannot be written.
    """
    with open_whole(out / MANIFEST_FILE) as file:
        file.write(json.dumps(_HEADER | content, indent=1).encode() + b"\n")


def clear_folder(out: Path, overwrite: bool) -> None:
    """See that a folder is empty or not there, or empty it of a shifted set that it holds, if that was asked for.

    Raises:
        ConfigError: there is a file, or a folder with other things, or with a shifted set that is to stay.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; name a folder for the videos")
    with writing_to(out):
        if not out.is_dir() or not any(out.iterdir()):
            return
        if not _is_shifted_set(out / MANIFEST_FILE):
            raise ConfigError(
                f"{out} is not empty, and not a set of this tool (no {MANIFEST_FILE}); name another folder"
            )
        if not overwrite:
            raise ConfigError(f"{out} holds a shifted set; name another folder, or replace it (--overwrite)")
        (out / ANNOTATIONS_FILE).unlink(missing_ok=True)
        if (out / VIDEO_FOLDER).is_dir():
            shutil.rmtree(out / VIDEO_FOLDER)


def _is_shifted_set(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") == _HEADER["format"]
