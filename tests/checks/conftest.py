"""A small data set without a fault, which every test breaks in its own way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stal.checks.check import check_data, data_of_json
from stal.checks.report import CheckReport

CLASSES = ["Biking", "CliffDiving", "Long Jump", "Skiing"]
NUM_FRAMES = 20


def box(t: int, x: float = 200.0) -> list[float]:
    """A box of an actor who walks slowly, far from the origin, and too wide for y."""
    return [x + t, 40.0, x + 60 + t, 150.0]


def tube(label: str, number: int = 0) -> dict[str, Any]:
    return {
        "id": number,
        "label": label,
        "frames": [[0, NUM_FRAMES]],
        "boxes": [box(t, 200.0 - 150 * number) for t in range(NUM_FRAMES)],
    }


def clean_document() -> dict[str, Any]:
    """Two videos of each class, named as in UCF101: one to train on and one to test on."""
    videos = []
    for label in CLASSES:
        for group, split in ((1, "train"), (2, "test")):
            name = label.replace(" ", "")
            key = f"{name}/v_{name}_g{group:02d}_c01"
            videos.append(
                {
                    "key": key,
                    "path": f"videos/{key}.avi",
                    "num_frames": NUM_FRAMES,
                    "height": 240,
                    "width": 320,
                    "split": split,
                    "tubes": [tube(label)],
                }
            )
    return {"format": "stal-tubes", "version": 1, "classes": CLASSES[:], "videos": videos}


@pytest.fixture
def document() -> dict[str, Any]:
    return clean_document()


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write a data set, with a file for every video that is no video but differs from the others."""

    def save(document: Any, folder: Path = tmp_path) -> Path:
        for video in document["videos"]:
            path = folder / video["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(video["path"])
        path = folder / "tubes.json"
        path.write_text(json.dumps(document))
        return path

    return save


@pytest.fixture
def check(save: Callable[..., Path]) -> Callable[[Any], CheckReport]:
    """Check a data set without opening its videos."""
    return lambda document: check_data(data_of_json(save(document)), decode=False)
