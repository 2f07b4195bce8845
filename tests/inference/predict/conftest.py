"""A detector that sees one actor on every frame, and short grey videos."""

import av
import numpy as np
import pytest
import torch

from stal.engine.config import load_config
from stal.engine.runner import build_model
from stal.inference.predict.settings import PredictSettings
from stal.inference.stream_detector import StreamDetector

CONFIG = "configs/scenes_small_plain.py"
CLASSES = ("walk", "jump", "wave", "squat", "bow", "spin", "walk_umbrella", "jump_ball", "wave_racket")


@pytest.fixture(scope="session")
def checkpoint(config_path, tmp_path_factory):
    """Weights of an untrained network."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "untrained.pth"
    weights = build_model(load_config(config_path)).state_dict()
    torch.save({"state_dict": weights, "meta": {"dataset_meta": {"classes": CLASSES}}}, path)
    return path


@pytest.fixture
def settings(config_path, checkpoint, tmp_path) -> PredictSettings:
    return PredictSettings(config_path, str(checkpoint), tmp_path / "out", device="cpu")


@pytest.fixture(scope="session")
def stub_detector(one_actor_detector) -> StreamDetector:
    return one_actor_detector(CLASSES, (8.0, 6.0, 24.0, 30.0), (48, 36), 3, 0.8)


@pytest.fixture
def stubbed(monkeypatch, stub_detector) -> None:
    """Have the one actor in place of what a checkpoint sees."""
    monkeypatch.setattr("stal.inference.predict.run.load_detector", lambda *args, **kwargs: stub_detector)


@pytest.fixture(scope="session")
def grey_video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 + index, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def videos_folder(grey_video, tmp_path):
    """Three videos, two of which are broken: one is empty, one is text."""
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(grey_video.read_bytes())
    (folder / "empty.mp4").touch()
    (folder / "sub" / "b.avi").write_text("not a video")
    return folder
