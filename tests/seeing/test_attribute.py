import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from stal.attribution.methods import attribute
from stal.attribution.roi_score import class_score
from stal.attribution.scores import gradient_tube
from stal.data import transforms
from stal.data.clips import ClipDataset
from stal.data.scenes.generate import generate
from stal.engine.config import load_config
from stal.engine.model import DetectionModel
from stal.engine.runner import build_model
from stal.errors import ConfigError, ShapeError
from stal.ops.masks import box_masks
from stal.seeing.attribute import attribute_tube
from stal.structures import Annotations

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")
HEIGHT, WIDTH, SPAN = 48, 64, 16


@pytest.fixture(scope="module")
def annotations(tmp_path_factory) -> Annotations:
    """Return one video, half as large again as the clips."""
    folder = tmp_path_factory.mktemp("scenes")
    return generate(folder, 2, splits=("iid",), width=WIDTH * 3 // 2, height=HEIGHT * 3 // 2)


@pytest.fixture(scope="module")
def model() -> DetectionModel:
    torch.manual_seed(0)
    return build_model(load_config(CONFIG)).eval()


@pytest.fixture(scope="module")
def windows(annotations) -> ClipDataset:
    return ClipDataset(annotations, 8, 2, transforms.TestTransform((HEIGHT, WIDTH)), training=False, step=SPAN)


def boxes_on(frames: slice, num_frames: int) -> np.ndarray:
    boxes = np.zeros((num_frames, 4), np.float32)
    boxes[frames] = [18, 9, 54, 45]
    return boxes


def test_every_window_is_the_attribution_of_its_tubelet_in_pixels_of_the_clip(model, windows):
    (video,) = windows.videos
    assert len(windows) > 1 and video.num_frames % SPAN  # the last window overlaps the one before it
    boxes = boxes_on(slice(2, video.num_frames), video.num_frames)
    tube = attribute_tube(model, windows, boxes, 3)
    assert tube.volume.shape == tube.magnitude.shape == (video.num_frames, HEIGHT, WIDTH)
    assert (tube.video_key, tube.label, tube.method, tube.pathway) == (video.key, 3, "input_gradient", "both")
    np.testing.assert_array_equal(tube.boxes, boxes)

    tubelet = torch.tensor([12.0, 6.0, 36.0, 30.0]).repeat(8, 1)
    (clip,) = model.data_preprocessor.prepare([windows[0]]).batch.clips
    mask = box_masks(tubelet, HEIGHT, WIDTH)
    mask[0] = False  # frame 0 has no box; its tubelet is that of frame 2
    gradient = attribute(model.detector, clip, tubelet, 3)
    expected = gradient_tube(gradient, mask)
    np.testing.assert_allclose(tube.magnitude[[0, 1, 8]], expected.saliency[[0, 0, 4]], rtol=1e-4, atol=1e-6)
    signed = gradient.sum(0) / gradient.sum(0).abs().max()
    np.testing.assert_allclose(tube.volume[[0, 1, 8]], signed[[0, 0, 4]], rtol=1e-4, atol=1e-6)
    assert tube.scores[0] == pytest.approx(class_score(model.detector, clip, tubelet, 3))
    assert tube.inside_shares[0] == pytest.approx(expected.inside_share, rel=1e-4)
    assert tube.volume_shares[0] == pytest.approx(expected.volume_share)
    assert (tube.magnitude.max(axis=(1, 2)) > 0).all() and np.isfinite(tube.scores).all()


def test_windows_without_the_tube_are_not_read(model, windows):
    (video,) = windows.videos
    read = []

    class Counted(ClipDataset):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    counted = Counted(windows.annotations, 8, 2, windows.transform, training=False, step=SPAN)
    shown = []
    tube = attribute_tube(
        model,
        counted,
        boxes_on(slice(0, 4), video.num_frames),
        0,
        method="smoothgrad",
        pathway="slow",
        progress=lambda numbers: (shown.append(number) or number for number in numbers),
    )
    assert read == [0] and shown == list(range(len(windows)))
    assert np.isfinite(tube.scores[0]) and np.isnan(tube.scores[-1]) and np.isnan(tube.inside_shares[-1])
    assert tube.magnitude[0].any() and not tube.magnitude[-1].any()
    again = attribute_tube(
        model, windows, boxes_on(slice(0, 4), video.num_frames), 0, method="smoothgrad", pathway="slow"
    )
    np.testing.assert_array_equal(tube.volume, again.volume)


def test_what_cannot_be_done_is_refused(model, windows):
    (video,), num_frames = windows.videos, windows.videos[0].num_frames
    boxes = boxes_on(slice(0, num_frames), num_frames)
    with pytest.raises(ShapeError, match=f"{num_frames - 1} boxes"):
        attribute_tube(model, windows, boxes[1:], 0)
    with pytest.raises(ShapeError, match="no box with an area"):
        attribute_tube(model, windows, np.zeros_like(boxes), 0)
    with pytest.raises(ConfigError, match="numbered from 0 to 8"):
        attribute_tube(model, windows, boxes, 9)
    twice = Annotations(windows.annotations.classes, (video, dataclasses.replace(video, key="other")))
    for annotations, transform, training in (
        (twice, windows.transform, False),
        (windows.annotations, transforms.TrainTransform((HEIGHT, WIDTH)), True),
    ):
        others = ClipDataset(annotations, 8, 2, transform, training=training)
        with pytest.raises(ConfigError, match="test clips of one video"):
            attribute_tube(model, others, boxes, 0)
