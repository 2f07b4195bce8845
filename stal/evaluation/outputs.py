"""Where numbers and plots are written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stal.errors import ConfigError


def check_targets(out: str | Path | None, plots: str | Path | None = None) -> None:
    """Raise a ConfigError if a file or a folder cannot be written, before anything slow is begun.

    Args:
        out: the file to write; None for none.
        plots: the folder to write to; None for none.
    """
    if out is not None and Path(out).is_dir():
        raise ConfigError(f"{out} is a folder; name a file, such as {Path(out) / 'metrics.json'}")
    for folder in (Path(out).parent if out is not None else None, Path(plots) if plots is not None else None):
        if folder is None:
            continue
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not there.is_dir():
            raise ConfigError(f"{there} is a file, so that nothing can be written below it; name another place")


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write numbers to a file, and make its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
