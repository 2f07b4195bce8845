from pathlib import Path

import numpy as np
import pytest
import torch

from stal.data.clips import ClipDataset
from stal.data.sampling import test_keyframes as keyframes_of
from stal.data.scenes.generate import generate
from stal.data.transforms import TestTransform
from stal.data.video.stream import open_stream
from stal.data.window_stream import stream_windows
from stal.engine.config import load_config
from stal.engine.model import DetectionModel
from stal.engine.runner import build_model
from stal.inference.stream_heat import stream_heat
from stal.seeing.attribute import attribute_tube
from stal.structures import Annotations, Tube

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")
LENGTH, STRIDE, SPAN = 8, 2, 16
TRANSFORM = TestTransform((36, 48))


@pytest.fixture(scope="module")
def annotations(tmp_path_factory) -> Annotations:
    return generate(tmp_path_factory.mktemp("scenes"), 2, splits=("iid",), width=96, height=72)


@pytest.fixture(scope="module")
def model() -> DetectionModel:
    torch.manual_seed(0)
    return build_model(load_config(CONFIG)).eval()


def tube(first, stop, label=3, box=(18, 9, 54, 45)):
    return Tube(label, np.arange(first, stop), np.tile(np.array([box], np.float32), (stop - first, 1)), score=0.9)


def heat_of(model, annotations, tubes):
    stream = open_stream(annotations.videos[0].path)
    keyframes = keyframes_of(stream.num_frames, LENGTH, STRIDE, SPAN).tolist()
    windows = stream_windows(
        stream.frames(),
        keyframes,
        num_frames_clip=LENGTH,
        stride=STRIDE,
        transform=TRANSFORM,
        video_key="v",
    )
    return np.stack(list(stream_heat(model, windows, tubes)))


def test_heat_is_the_gradient_tube_of_the_video(model, annotations):
    (video,) = annotations.videos[:1]
    heat = heat_of(model, annotations, [tube(0, video.num_frames)])
    windows = ClipDataset(
        Annotations(annotations.classes, (video,)), LENGTH, STRIDE, TRANSFORM, training=False, step=SPAN
    )
    boxes = np.tile(np.array([[18, 9, 54, 45]], np.float32), (video.num_frames, 1))
    expected = attribute_tube(model, windows, boxes, 3)
    assert heat.shape == expected.magnitude.shape
    # The last window overlaps the one before, and the two share out these frames differently.
    whole = (video.num_frames // SPAN - 1) * SPAN
    np.testing.assert_allclose(heat[:whole], expected.magnitude[:whole], rtol=1e-4, atol=1e-6)


def test_there_is_no_heat_where_no_tube_is(model, annotations):
    heat = heat_of(model, annotations, [tube(6, 20)])
    is_hot = heat.max(axis=(1, 2)) > 0
    assert is_hot[6:20].all()
    assert not is_hot[:6].any() and not is_hot[20:].any()
    assert not heat_of(model, annotations, []).any()


def test_of_several_tubes_the_strongest_counts(model, annotations):
    first, second = tube(0, 16), tube(8, 16, label=5, box=(50, 10, 90, 70))
    both, *apart = (heat_of(model, annotations, tubes)[:16] for tubes in ([first, second], [first], [second]))
    np.testing.assert_allclose(both, np.maximum(*apart), rtol=1e-5, atol=1e-7)
