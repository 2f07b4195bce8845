"""Which clips are drawn at a validation, and what their pictures say."""

import dataclasses
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from torch import nn

from stal.data import transforms
from stal.data.clips import ClipDataset
from stal.engine.display import validation_pictures
from stal.engine.display.validation_pictures import ValidationPictures, draw_detections, middle_clips
from stal.engine.model import DetectionModel
from stal.engine.preprocessor import ClipPreprocessor
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector
from stal.structures import Annotations, Clip, Video
from stal.visualize.clip_picture import ShownTubelet

FRAMES, HEIGHT, WIDTH = 8, 32, 48
CLASSES = ("run", "jump", "wave")


def model(min_score: float) -> DetectionModel:
    """Return an untrained model that detects what scores higher."""
    torch.manual_seed(0)
    backbone = SlowFast(depth=18, width=4, channel_ratio=2, norm="group", fusion_kernel=3, spatial_strides=(1, 2, 1, 1))
    proposals = {"channels": 8, "anchor_sizes": (16,), "aspect_ratios": (1.0,), "num_train": 8, "num_test": 8}
    detector = TubeDetector(
        backbone,
        num_classes=3,
        proposals=proposals,
        regressor={"channels": 8, "bins": 3},
        classifier={"bins": 3, "dropout": 0.0},
        num_samples=4,
        min_score=min_score,
    )
    return DetectionModel(detector, ClipPreprocessor(seed=0)).eval()


def clip(num_actors: int) -> Clip:
    """Return noise; each actor is there in the first half."""
    valid = torch.zeros(num_actors, FRAMES, dtype=torch.bool)
    valid[:, : FRAMES // 2 + 1] = True
    boxes = torch.tensor([4.0, 4.0, 20.0, 28.0]).expand(num_actors, FRAMES, 4) * valid[..., None]
    noise = torch.randint(0, 256, (3, FRAMES, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0))
    return Clip(
        frames=noise.to(torch.uint8),
        boxes=boxes,
        valid=valid,
        labels=torch.arange(num_actors),
        actor_masks=None,
        video_key="a/b",
        frame_indices=torch.arange(10, 10 + FRAMES),
        to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
        video_size=(HEIGHT, WIDTH),
    )


@dataclasses.dataclass
class Drawn:
    """What `draw_clip` was told."""

    title: str
    frames: np.ndarray
    annotated: list[ShownTubelet]
    detected: list[ShownTubelet]
    explained: ShownTubelet | None
    heat: np.ndarray


def drawn(monkeypatch: pytest.MonkeyPatch, min_score: float, num_actors: int) -> Drawn:
    told = []

    def draw_clip(*arguments) -> np.ndarray:
        told.append(Drawn(*arguments))
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(validation_pictures, "draw_clip", draw_clip)
    draw_detections(model(min_score), clip(num_actors), CLASSES)
    (only,) = told
    return only


def test_the_three_surest_detections_are_shown_and_the_surest_explained(monkeypatch):
    picture = drawn(monkeypatch, min_score=0.0, num_actors=2)
    assert picture.title == "a/b, frames 10 to 17"
    assert picture.frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert [tubelet.text for tubelet in picture.annotated] == ["run", "jump"]
    assert [tubelet.boxes.any(1).tolist() for tubelet in picture.annotated] == [[True] * 5 + [False] * 3] * 2
    assert len(picture.detected) == 3
    words = [tubelet.text.split() for tubelet in picture.detected]
    scores = [float(word[2].rstrip(",")) for word in words]
    assert scores == sorted(scores, reverse=True)
    assert picture.explained.text.startswith(f"|gradient| of the logit of {words[0][1]},")
    assert picture.heat.shape == (FRAMES, HEIGHT, WIDTH)
    assert picture.heat.max() == 1.0


def test_without_detections_the_first_actor_is_explained(monkeypatch):
    picture = drawn(monkeypatch, min_score=1.0, num_actors=2)
    assert picture.title.endswith(": nothing detected")
    assert picture.detected == []
    assert picture.explained.text.startswith("|gradient| of the logit of run,")
    assert (picture.explained.boxes == [4, 4, 20, 28]).all()  # where it is not annotated, the nearest box
    assert picture.heat.max() == 1.0


def test_without_anything_there_is_no_heat(monkeypatch):
    picture = drawn(monkeypatch, min_score=1.0, num_actors=0)
    assert picture.explained is None
    assert picture.annotated == []
    assert not picture.heat.any()


def test_a_picture_changes_neither_the_model_nor_the_chance_of_training():
    drawn_by, state = model(0.0), torch.get_rng_state()
    picture = draw_detections(drawn_by, clip(1), CLASSES)
    assert picture.dtype == np.uint8
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in drawn_by.parameters())
    assert not drawn_by.training


@pytest.fixture
def dataset() -> ClipDataset:
    """Test clips of videos of 1, 3, 2 and 5 clips."""
    videos = [Video(str(i), Path("a.mp4"), 4 * count, HEIGHT, WIDTH) for i, count in enumerate((1, 3, 2, 5))]
    return ClipDataset(
        Annotations(CLASSES, tuple(videos)), 4, 1, transforms.TestTransform((HEIGHT, WIDTH)), training=False
    )


@pytest.mark.parametrize(
    ("num_videos", "expected"), [(0, []), (1, [5]), (2, [2, 8]), (4, [0, 2, 5, 8]), (9, [0, 2, 5, 8])]
)
def test_the_middle_clips_of_spread_videos_are_drawn(dataset, num_videos, expected):
    assert list(dataset.num_clips.values()) == [1, 3, 2, 5]
    assert middle_clips(dataset, num_videos).tolist() == expected


def test_pictures_are_named_by_clip_and_iteration(dataset, monkeypatch):
    monkeypatch.setattr(ClipDataset, "__getitem__", lambda self, index: clip(1))
    runner = mock.Mock(spec=Runner, rank=0, iter=70, val_dataloader=mock.Mock(dataset=dataset), model=model(1.0))
    runner.visualizer = mock.Mock()
    ValidationPictures(2).after_val_epoch(runner)
    calls = runner.visualizer.add_image.call_args_list
    assert [(call.args[0], call.kwargs["step"]) for call in calls] == [("a_b_frame_14", 70)] * 2


def test_pictures_are_of_the_averaged_weights_that_are_validated(dataset, monkeypatch):
    network, drawn_weights = nn.Linear(1, 1), []
    monkeypatch.setattr(ClipDataset, "__getitem__", lambda self, index: clip(1))
    monkeypatch.setattr(
        validation_pictures, "draw_detections", lambda model, *_: drawn_weights.append(model.weight.item())
    )
    runner = mock.Mock(spec=Runner, rank=0, iter=9, val_dataloader=mock.Mock(dataset=dataset), model=network, _hooks=[])
    runner.visualizer = mock.Mock()
    averaging = EMAHook()
    for hook in (averaging, ValidationPictures(1)):
        Runner.register_hook(runner, hook)
    averaging.before_run(runner)
    nn.init.constant_(network.weight, 1.0)
    nn.init.constant_(averaging.ema_model.module.weight, 2.0)
    Runner.call_hook(runner, "before_val_epoch")
    Runner.call_hook(runner, "after_val_epoch", metrics={})
    assert drawn_weights == [2.0] and network.weight.item() == 1.0


def test_other_processes_draw_nothing():
    runner = mock.Mock(spec=Runner, rank=1, visualizer=mock.Mock())  # without data
    ValidationPictures(2).after_val_epoch(runner)
    assert runner.visualizer.mock_calls == []
