"""Small reports: of made-up gradient tubes, whose heat is known, and detections of a few videos."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from stal.attribution.video_tube import VideoTube
from stal.report.page import Page, PageClip
from stal.report.shown_clip import ShownClip, SideView
from stal.report.tables import Cell, Column, Table
from stal.report.work_dir import WorkDir
from stal.structures import Tube, Video
from stal.visualize.tube_view import TubeView

NUM_FRAMES, HEIGHT, WIDTH = 24, 96, 128
HOSTILE = "</script><b id=injected>&'\""


def work_dir(folder: Path, name: str, **config) -> WorkDir:
    settings = {"test_dataloader": {"dataset": {"split": "iid"}}, **config}
    return WorkDir(folder, name, "configs/a.py", Config(settings), {})


def moving_box(shift: float = 0.0) -> np.ndarray:
    """A box of 20 x 30 pixels that goes to the right, absent from the first two frames."""
    left = 10 + 3.0 * np.arange(NUM_FRAMES) + shift
    boxes = np.stack([left, np.full(NUM_FRAMES, 30), left + 20, np.full(NUM_FRAMES, 60)], axis=1)
    boxes[:2] = 0
    return boxes.astype(np.float32)


def made_tube(boxes: np.ndarray) -> VideoTube:
    """A gradient tube whose heat fills the boxes."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = (x >= boxes[:, 0, None, None]) & (x < boxes[:, 2, None, None])
    inside &= (y >= boxes[:, 1, None, None]) & (y < boxes[:, 3, None, None])
    heat = inside.astype(np.float32)
    known = boxes[:, 2] > boxes[:, 0]
    numbers = np.where(known, 0.5, np.nan).astype(np.float32)
    return VideoTube("v", 0, "input_gradient", "both", heat, heat, boxes, numbers, numbers, numbers / 10)


def made_clip(kind: str, action: str, key: str, chosen_of: str) -> PageClip:
    """A clip in which the second detector's box is 20 pixels to the right of the first one's."""
    frames = np.arange(2, NUM_FRAMES)
    truth = Tube(0, frames, moving_box()[2:])
    video = Video(key, Path("v.mp4"), NUM_FRAMES, HEIGHT, WIDTH, fps=12.0, tubes=(truth,))
    sides = tuple(
        SideView(
            name, TubeView(made_tube(moving_box(shift)), action, "detection", (HEIGHT, WIDTH), 12.0), score, "right"
        )
        for name, shift, score in (("plain", 0.0, 0.9), ("pgg", 20.0, None))
    )
    shown = ShownClip(kind, action, chosen_of, "because", video, (action, "other"), sides)
    grey = np.full((len(shown.frames), HEIGHT, WIDTH, 3), 60, np.uint8)
    return PageClip(shown, shown.data(grey))


@pytest.fixture(scope="session")
def page(tmp_path_factory) -> Page:
    """A page of two detectors, with made-up numbers and clips, in which a name is hostile."""
    folder = tmp_path_factory.mktemp("work_dirs")
    for name in ("plain", "pgg"):
        (folder / name).mkdir()
    rows = [[Cell.of_text(name), Cell(f"{value}", value)] for name, value in (("a9", 9), ("b10", 10), (HOSTILE, -1))]
    columns = [Column("class", is_number=False, has_menu=True), Column("AP")]
    return Page(
        sides=tuple(work_dir(folder / name, name) for name in ("plain", "pgg")),
        summaries={},
        scored={},
        headlines=None,
        classes=Table("classes", "numbers", columns, [*rows, [Cell.of_text("c"), Cell("-")]]),
        clips=(
            made_clip("best", "walk", "v/0", "plain"),
            made_clip("worst", HOSTILE, "v/1", "pgg"),
            made_clip("best", "jump", "v/2", "pgg"),
        ),
        uses_drops=False,
        scene_shift=None,
        training=None,
        plots=(),
        tubes=None,
        absent=(),
    )
