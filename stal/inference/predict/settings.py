"""What a run is told, and what its results depend on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import stal
from stal.engine.config import describe_config, load_config
from stal.engine.faults.checkpoint import find_checkpoint
from stal.errors import ConfigError

FORMAT = "stal-predictions"
VERSION = 1


@dataclass(frozen=True)
class PredictSettings:
    """What is predicted with, and what is written of a video.

    Attributes:
        config: file that the checkpoint was trained with.
        checkpoint: the file; of a work directory the last one is taken.
        out: the folder of the results, see `stal.inference.predict.results`.
        proposals: where boxes on keyframes come from, see `load_detector`.
        step: frames from one window to the next; None for the config's.
        batch_size: windows that go through the network at once; None for the config's.
        device: of torch; None for the best that is there.
        options: settings of the config to change.
        min_score: tubes that score less are left out.
        draw: whether to draw the tubes too.
        gradients: whether to draw where the tubes' scores come from.
        max_minutes: that a video may take; None for no limit.

    Raises:
        ConfigError: they do not fit together.
        CheckpointError: there is no checkpoint.
    """

    config: str
    checkpoint: str
    out: Path
    proposals: str = "network"
    step: int | None = None
    batch_size: int | None = None
    device: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    min_score: float = 0.05
    draw: bool = False
    gradients: bool = False
    max_minutes: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"--min-score {self.min_score}: scores are from 0 to 1")
        if self.gradients and not self.draw:
            raise ConfigError("--gradients are drawn: add --draw")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise ConfigError(f"--max-minutes {self.max_minutes}: must be above 0; leave it out for no limit")
        # Once: the last of a work directory is soon another.
        object.__setattr__(self, "checkpoint", str(find_checkpoint(self.checkpoint)))

    def recipe(self) -> dict[str, Any]:
        """Return all that results depend on, as plain values; the machine, its devices and the batch size do not count.

        Of the config it is what a test reads of it. The weights, and the file of proposals, are told apart by a digest.

        Raises:
            ConfigError: the config cannot be used, or a file cannot be read.
        """
        config = describe_config(load_config(self.config, self.options))
        dataset = config["test_dataloader"]["dataset"]
        return {
            "format": FORMAT,
            "version": VERSION,
            "stal": stal.__version__,
            "checkpoint": _digest(Path(self.checkpoint)),
            "model": config["model"],
            "dataset": {key: value for key, value in dataset.items() if key != "split"},
            "linking": config.get("linking", "default"),
            "proposals": _digest(Path(self.proposals)) if self.proposals.endswith(".npz") else self.proposals,
            "step": self.step,
            "min_score": self.min_score,
            "draw": self.draw,
            "gradients": self.gradients,
        }


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name another file") from error
