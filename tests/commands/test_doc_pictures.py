from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stal.commands.doc_pictures import draw_evaluation_pictures
from stal.data.detection_files import write_detections
from stal.errors import DataNotFoundError
from stal.structures import Annotations, Detections, Tube, Video


def test_the_plots_of_detections_are_made(tmp_path):
    frames, boxes = np.arange(20), np.tile(np.array([4, 4, 20, 20], np.float32), (20, 1))
    tube = Tube(0, frames, boxes)
    videos = tuple(Video(key, Path(f"{key}.mp4"), 20, 48, 64, tubes=(tube,)) for key in "ab")
    found = Detections(frames, boxes, np.zeros(20, np.int64), np.full(20, 0.5))
    tubes = [Tube(0, frames, boxes, score=0.5)]
    write_detections(tmp_path / "found.npz", Annotations(("walk", "wave"), videos), {"a": found}, {"a": tubes})
    docs = tmp_path / "docs"
    docs.mkdir()
    made = list(draw_evaluation_pictures(tmp_path / "found.npz", docs))
    assert made == [docs / "error_budget.png", docs / "protocols.png"]
    for path in made:
        with Image.open(path) as picture:
            assert picture.width > 300


def test_missing_detections_are_an_error_that_says_how_to_make_them(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"detections\.npz is not there; `make demo` leaves it"):
        list(draw_evaluation_pictures(tmp_path / "detections.npz", tmp_path))
