"""A detector with random weights, and one that sees one actor, in one place of every frame."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stal.data.transforms import TestTransform
from stal.engine.config import load_config
from stal.engine.runner import build_linker, build_model
from stal.inference.stream_detector import StreamDetector
from stal.models.detector import Tubelets

CONFIG = "configs/scenes_small_plain.py"
CLASSES = ("walk", "jump", "wave", "squat", "bow", "spin", "walk_umbrella", "jump_ball", "wave_racket")


@pytest.fixture(scope="session")
def config_path(pytestconfig) -> str:
    return str(pytestconfig.rootpath / CONFIG)


@pytest.fixture(scope="session")
def checkpoint(config_path, tmp_path_factory) -> Path:
    """Path of a checkpoint of `config_path` that was not trained."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "untrained.pth"
    weights = build_model(load_config(config_path)).state_dict()
    torch.save({"state_dict": weights, "meta": {"dataset_meta": {"classes": CLASSES}}}, path)
    return path


@pytest.fixture(scope="session")
def one_actor_detector(config_path) -> Callable[..., StreamDetector]:
    """Return a function that makes the detector.

    It takes the actor's box in a frame of some width and height, its label and score, the classes, and what else a
    `StreamDetector` takes.
    """

    def make(
        classes: tuple[str, ...],
        box: tuple[float, ...],
        size: tuple[int, int],
        label: int,
        score: float,
        **settings: int,
    ) -> StreamDetector:
        def sees_one_actor(clips: torch.Tensor, proposals: object = None) -> list[Tubelets]:
            num_clips, _, num_frames, height, width = clips.shape
            seen = torch.tensor(box) * torch.tensor([width / size[0], height / size[1]]).repeat(2)
            scores = torch.zeros(1, len(classes))
            scores[0, label] = score
            return [
                Tubelets(seen.expand(1, num_frames, 4), scores, torch.ones(1, num_frames)) for _ in range(num_clips)
            ]

        torch.manual_seed(0)
        config = load_config(config_path)
        model = build_model(config).eval()
        model.detector.predict = sees_one_actor
        described = {"num_frames_clip": 8, "stride": 2, "step": 8, "batch_size": 3, "propose": None, **settings}
        transform = TestTransform(size=(36, 48))
        return StreamDetector(
            model=model, classes=classes, linker=build_linker(config), transform=transform, **described
        )

    return make
