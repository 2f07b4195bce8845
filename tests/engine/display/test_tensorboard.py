"""What is written for TensorBoard."""

import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stal.engine.display.tensorboard import TensorboardBackend, add_tensorboard
from stal.errors import ConfigError

NAME = "stal.engine.display.tensorboard.TensorboardBackend"


@pytest.fixture
def hub(tmp_path) -> MessageHub:
    """The message hub of a training that has done 40 iterations."""
    hub = MessageHub.get_instance(f"test in {tmp_path}")
    hub.update_info("iter", 39)
    hub.update_info("loop_stage", "train")
    return hub


def test_training_and_validation_are_told_apart_and_counted_in_iterations(hub, tmp_path):
    backend = TensorboardBackend(str(tmp_path))
    backend.add_scalars({"loss": 1.5, "lr": 0.1, "time": 2.0, "epoch": 2, "iter": 40}, step=40)
    hub.update_info("loop_stage", "val")
    backend.add_scalars({"frame_mAP@0.5": 12.0, "time": 3.0}, step=2)
    backend.add_image("clip", np.zeros((4, 6, 3), np.uint8), step=40)
    written = EventAccumulator(str(tmp_path)).Reload()  # before it is closed: one may watch
    scalars = {tag: [(event.step, event.value) for event in written.Scalars(tag)] for tag in written.Tags()["scalars"]}
    assert scalars == {
        "train/loss": [(40, 1.5)],
        "train/lr": [(40, pytest.approx(0.1))],
        "train/time": [(40, 2.0)],
        "train/epoch": [(40, 2.0)],
        "val/frame_mAP@0.5": [(40, 12.0)],
        "val/time": [(40, 3.0)],
    }
    backend.close()
    written.Reload()
    assert [(image.step, image.width, image.height) for image in written.Images("clip")] == [(40, 6, 4)]


def test_without_tensorboard_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'stal\[tensorboard\]'"):
        TensorboardBackend(str(tmp_path))


@pytest.mark.parametrize(
    ("visualizer", "expected"),
    [
        ({"type": "Visualizer", "vis_backends": [{"type": "Local"}]}, ["Local", NAME]),
        ({"type": "Visualizer", "vis_backends": [{"type": "TensorboardVisBackend"}]}, ["TensorboardVisBackend"]),
        ({"type": "Visualizer", "vis_backends": [{"type": NAME}]}, [NAME]),
        ({"type": "Visualizer"}, [NAME]),
        (None, ["mmengine.visualization.LocalVisBackend", NAME]),
    ],
)
def test_a_config_gets_the_backend_once(visualizer, expected):
    config = Config({} if visualizer is None else {"visualizer": visualizer})
    add_tensorboard(config)
    assert [backend["type"] for backend in config.visualizer.vis_backends] == expected


def test_the_config_can_still_be_written_down():
    config = Config.fromfile(Path(__file__).parents[3] / "configs" / "scenes_plain.py")
    add_tensorboard(config)
    assert NAME in config.pretty_text
