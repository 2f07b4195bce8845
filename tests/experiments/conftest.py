"""An experiment as a file, and results as if its cells had been run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stal.experiments.cells import Cell
from stal.experiments.results import Result
from stal.experiments.spec import Experiment, read_experiment

ROOT = Path(__file__).parents[2]

EXAMPLE = {
    "title": "Example",
    "config": str(ROOT / "configs" / "scenes_small_plain.py"),
    "data": {"tiny": "tools/make_scenes.py {out} --videos 8"},
    "options": {"data.path": "{tiny}/annotations.json"},
    "sets": ["iid", "shifted"],
    "metrics": ["actor_accuracy", "frame_mAP@0.5"],
    "iid": "iid",
    "shifted": "shifted",
    "mixers": {"none": None, "BatchMix": {"type": "stal.mixing.batch_mix.BatchMix", "probability": 0.5}},
    "penalties": {
        "none": None,
        "pgg": {"type": "stal.losses.gradient_penalty.GradientPenalty", "weight": 0.1},
        "lazy": {
            "penalty": {"type": "stal.losses.gradient_penalty.GradientPenalty", "weight": 0.1, "interval": 4},
            "masks": {"type": "stal.mixing.mask_sources.ProvenanceMasks"},
            "options": {"train_cfg.max_epochs": 3},
        },
    },
    "grids": [{"title": "All", "mixers": "all", "penalties": "all", "seeds": 2}],
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write the example with some of its keys changed, or a text."""

    def write_experiment(text: str | None = None, **changes: Any) -> Path:
        path = tmp_path / "example.yaml"
        path.write_text(yaml.safe_dump({**EXAMPLE, **changes}, sort_keys=False) if text is None else text)
        return path

    return write_experiment


@pytest.fixture
def read(write: Callable[..., Path]) -> Callable[..., Experiment]:
    """Read the example with some of its keys changed."""
    return lambda **changes: read_experiment(write(**changes))


def content_of(iid: float, shifted: float, **changes: Any) -> dict[str, Any]:
    """The content of a result whose accuracies are given."""
    return {
        "status": "done",
        "cell": "none/none/0",
        "hash": "0",
        "data": {"tiny": "1234"},
        "commit": "0123456789abcdef",
        "dirty": False,
        "code": "abcd",
        "versions": {"python": "3.11"},
        "machine": {"num_cores": 2},
        "num_threads": 1,
        "seconds": {"train": 50.0, "test": 20.0, "gradients": 2.0},
        "cpu_seconds": {"train": 40.0, "test": 18.0, "gradients": 2.0},
        "gradient_share": {"inside_share": 0.5, "volume_share": 0.125, "num_actors": 64},
        "metrics": {
            "iid": {"actor_accuracy": iid, "frame_mAP@0.5": iid - 1},
            "shifted": {"actor_accuracy": shifted, "frame_mAP@0.5": shifted - 1},
        },
        **changes,
    }


@pytest.fixture
def results() -> dict[Cell, Result]:
    """Every state, and numbers that are easily reckoned with."""
    done = {
        Cell("none", "none", 0): (90.0, 50.0),
        Cell("none", "none", 1): (92.0, 54.0),
        Cell("none", "pgg", 0): (91.0, 60.0),
        Cell("none", "pgg", 1): (91.0, 62.0),
        Cell("BatchMix", "none", 0): (80.0, 70.0),
    }
    failed = {"status": "failed", "error": "stal.errors.PenaltyError: it is\nwrong", "hash": "0", "data": {}}
    return {
        **{cell: Result("done", content_of(*values)) for cell, values in done.items()},
        Cell("BatchMix", "none", 1): Result("failed", failed),
        Cell("BatchMix", "pgg", 0): Result("stale", content_of(1.0, 1.0)),
        Cell("BatchMix", "pgg", 1): Result("missing", {}),
    }
