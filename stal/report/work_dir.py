"""What a training and its tests leave in a work directory, and the commands that make what is not there."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from stal.engine.config import load_config
from stal.engine.entry import SCENE_SHIFT_FILE
from stal.engine.faults.checkpoint import find_checkpoint
from stal.errors import AnnotationError, CheckpointError, ConfigError, DataNotFoundError

Curves = dict[str, tuple[list[float], list[float]]]
"""By the name of a number, the iterations at which it was logged, rising, and its values."""

_COUNTERS = {"step", "iter", "epoch"}
_TIMES = {"time", "data_time"}


@dataclass(frozen=True)
class WorkDir:
    """The folder of a training.

    Attributes:
        folder: the work directory.
        name: what the report calls the detector.
        config_path: its config file.
        config: its config, with the folder as `work_dir`.
        options: settings of the config that were changed.
    """

    folder: Path
    name: str
    config_path: str
    config: Config
    options: Mapping[str, Any]

    @property
    def own_set(self) -> str:
        """Return the split that the config tests on."""
        return self.config.test_dataloader.dataset.split

    @property
    def checkpoint(self) -> Path | None:
        """Return the last checkpoint; None if there is none."""
        try:
            return find_checkpoint(self.folder)
        except CheckpointError:
            return None

    def detections_file(self, name: str | None = None) -> Path | None:
        """Return the dumped detections of a set, None for the config's own; None if there are none."""
        plain = [self.folder / "detections.npz"] if name in (None, self.own_set) else []
        candidates = [*plain, self.folder / f"detections_{name or self.own_set}.npz"]
        return next((path for path in candidates if path.is_file()), None)

    def scene_shift(self) -> dict[str, Any] | None:
        """Return what a test on several sets left; None if there was none."""
        path = self.folder / SCENE_SHIFT_FILE
        return read_numbers(path) if path.is_file() else None

    def metrics(self) -> dict[str, Any] | None:
        """Return the numbers of the last test on the config's own split; None if there was none."""
        candidates = (self.folder / "metrics.json", self.folder / f"metrics_{self.own_set}.json")
        path = next((path for path in candidates if path.is_file()), None)
        return None if path is None else read_numbers(path)

    def curves(self) -> Curves:
        """Return what was logged while it trained; nothing if there is no log.

        A training that was resumed has several logs: from the iteration on at which a later one begins, it replaces
        the earlier ones. A validation, which counts epochs, stands at the last iteration that was logged before it.

        Raises:
            AnnotationError: a log is broken.
        """
        logged: dict[str, dict[float, float]] = {}
        for path in sorted(self.folder.glob("*/vis_data/scalars.json")):
            lines = [_read_line(path, number, text) for number, text in enumerate(path.read_text().splitlines(), 1)]
            iterations = [float(line["iter"]) for line in lines if "iter" in line]
            if not iterations:
                continue  # nothing was trained
            iteration = iterations[0]
            logged = {
                name: {step: value for step, value in values.items() if step < iteration}
                for name, values in logged.items()
            }
            for line in lines:
                iteration = float(line.get("iter", iteration))
                for name in line.keys() - _COUNTERS - (set() if "iter" in line else _TIMES):
                    logged.setdefault(name, {})[iteration] = float(line[name])
        return {name: (list(values), list(values.values())) for name, values in sorted(logged.items()) if values}

    def train_command(self) -> str:
        """Return the command that trains it."""
        return self._command("train.py", self.config_path, "--work-dir", str(self.folder))

    def test_command(self, *sets: str) -> str:
        """Return the command that tests it on some sets, and leaves here all that a report looks for."""
        folder = str(self.folder)
        split = ["--split", *sets] if sets else []
        dump = ["--dump", str(self.folder / "detections.npz")]
        return self._command("test.py", self.config_path, folder, "--work-dir", folder, *dump, *split)

    def _command(self, tool: str, *arguments: str) -> str:
        options = [f"{key}={value}" for key, value in self.options.items()]
        return shlex.join(["python", f"tools/{tool}", *arguments, *(["--cfg-options", *options] if options else [])])


def open_work_dir(
    folder: str | Path,
    *,
    config: str | None = None,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> WorkDir:
    """Return a work directory with its config.

    Args:
        folder: the work directory.
        config: its config file; None for the copy that training left in the folder.
        name: what to call the detector; None for the name of the folder.
        options: settings of the config to change.

    Raises:
        DataNotFoundError: there is no such folder.
        ConfigError: the folder has no copy of a config, or several, or the config cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataNotFoundError(f"there is no work directory {folder}; name the folder that tools/train.py wrote to")
    path = config or str(_config_copy(folder))
    loaded = load_config(path, options)
    loaded.work_dir = str(folder)
    return WorkDir(folder, name or folder.resolve().name, path, loaded, options or {})


def read_numbers(path: Path) -> dict[str, Any]:
    """Return a file of numbers that a test wrote.

    Raises:
        AnnotationError: it is broken.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AnnotationError(f"{path} is broken ({error}); make it again with tools/test.py") from error
    if not isinstance(content, dict):
        raise AnnotationError(f"{path} holds no numbers by their names; make it again with tools/test.py")
    return content


def _config_copy(folder: Path) -> Path:
    copies = sorted(folder.glob("*.py"))
    if len(copies) != 1:
        found = f"several: {', '.join(copy.name for copy in copies)}" if copies else "none"
        raise ConfigError(
            f"{folder} should have one config, the copy that tools/train.py leaves, and has {found}; name the config "
            "with --config"
        )
    return copies[0]


def _read_line(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"{path}, line {number} is broken ({error}): was the training killed while it wrote? Remove the line"
        ) from error
    if not isinstance(line, dict) or "step" not in line:
        raise AnnotationError(f"{path}, line {number} has no `step`: {text[:80]!r}; it is not a log of mmengine")
    return line
