"""A small data set with detections, in files as people bring them."""

from pathlib import Path

import numpy as np
import pytest

from stal.data.detection_files import write_detections
from stal.structures import Annotations, Detections, Tube, Video

FRAMES = np.arange(20)


def tube(label: int, shift: float, id: int = 0, score: float | None = None) -> Tube:
    boxes = np.tile(np.array([10, 10, 50, 90], np.float32), (20, 1)) + np.float32(shift)
    return Tube(label, FRAMES, boxes, id=id, score=score)


@pytest.fixture
def annotations() -> Annotations:
    videos = (
        Video("a", Path("a.avi"), 25, 240, 320, tubes=(tube(0, 0), tube(1, 100, id=1))),
        Video("b", Path("b.avi"), 20, 240, 320, tubes=(tube(1, 0),)),
        Video("c", Path("c.avi"), 30, 240, 320),
    )
    return Annotations(("run", "jump", "swim"), videos)


@pytest.fixture
def detections() -> dict[str, Detections]:
    def of(found: Tube, score: float) -> Detections:
        return Detections(found.frames, found.boxes, np.full(20, found.label), np.full(20, score))

    return {
        "a": Detections.concatenate([of(tube(0, 2), 0.9), of(tube(1, 103), 0.8)]),
        "b": of(tube(0, 1), 0.7),  # the right place, the wrong class
        "c": of(tube(1, 0), 0.3),  # nothing is there
    }


@pytest.fixture
def dump(tmp_path: Path, annotations: Annotations, detections: dict[str, Detections]) -> Path:
    """A file with ground truth, detections and tubes."""
    tubes = {"a": [tube(0, 2, score=0.9)], "b": [tube(0, 1, score=0.7)]}
    write_detections(tmp_path / "dump.npz", annotations, detections, tubes)
    return tmp_path / "dump.npz"


@pytest.fixture
def untubed(tmp_path: Path, dump: Path) -> Path:
    """The same file without tubes."""
    with np.load(dump) as arrays:
        kept = {name: arrays[name] for name in arrays.files if not name.startswith("tube_")}
    np.savez(tmp_path / "untubed.npz", **kept)
    return tmp_path / "untubed.npz"
