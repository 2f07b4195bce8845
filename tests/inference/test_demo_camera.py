import itertools
import json
import os
import signal

import numpy as np
import pytest

from stal.data.video.stream import open_stream
from stal.errors import DataNotFoundError, VideoReadError
from stal.inference import demo_camera
from stal.inference.demo import DemoOutput
from stal.inference.demo_camera import draw_camera
from stal.inference.stream_detector import StreamDetector
from stal.visualize.drawing import colour

CONFIG = "configs/scenes_small_plain.py"
WIDTH, HEIGHT = 320, 240
BOX = (80.0, 60.0, 160.0, 200.0)


@pytest.fixture(scope="module")
def detector(one_actor_detector) -> StreamDetector:
    return one_actor_detector(("walk", "jump"), BOX, (WIDTH, HEIGHT), 1, 0.8, stride=1, step=4, batch_size=1)


@pytest.fixture
def camera(monkeypatch):
    """Put frames in place of a camera's: brighter ones every 0.04 s, but for one that was lost."""

    def replace(num_frames, taken=None):
        def give(source):
            for index in itertools.count() if num_frames is None else range(num_frames):
                if taken is not None:
                    taken.append(index)
                yield np.full((HEIGHT, WIDTH, 3), 60 + index % 100, np.uint8), (index + (index > 5)) / 25

        monkeypatch.setattr(demo_camera, "iterate_camera", give)

    return replace


def draw(detector, tmp_path, **settings):
    output = DemoOutput(tmp_path / "drawn.mp4", tmp_path / "tubes.json", **settings)
    num_frames = draw_camera("0", detector, output)
    return num_frames, open_stream(output.video), json.loads(output.tubes.read_text())


@pytest.mark.parametrize("num_frames", [1, 3, 7, 8, 9, 12, 30])
@pytest.mark.parametrize("gradients", [False, True])
def test_every_frame_is_drawn_at_its_time(detector, camera, tmp_path, num_frames, gradients):
    camera(num_frames)
    drawn_frames, drawn, content = draw(detector, tmp_path, gradients=gradients)
    assert drawn_frames == drawn.num_frames == content["num_frames"] == num_frames
    times = [(index + (index > 5)) / 25 for index in range(num_frames)]
    assert drawn.seconds.tolist() == pytest.approx(times, abs=1e-4)
    for index, frame in enumerate(drawn.frames()):
        np.testing.assert_allclose(frame[130, 80:82].mean(0), colour(1), atol=60)
        if not gradients:
            np.testing.assert_allclose(frame[20, 300], 60 + index, atol=4)
    (tube,) = content["tubes"]
    assert (tube["label"], tube["frames"]) == ("jump", [0, num_frames])


def test_frames_are_drawn_while_others_come(detector, camera, tmp_path, monkeypatch):
    taken, written = [], []
    camera(30, taken)
    write = demo_camera.VideoWriter.write

    def noted(self, frame, seconds=None):
        written.append(len(taken))
        write(self, frame, seconds)

    monkeypatch.setattr(demo_camera.VideoWriter, "write", noted)
    draw(detector, tmp_path)
    delays = np.array(written) - np.arange(30)
    assert delays[:8].max() <= 8  # of the first window
    assert delays[8:].max() <= detector.step


def test_ctrl_c_ends_with_a_complete_file(detector, camera, tmp_path):
    class Pressed(list):
        def append(self, index):
            super().append(index)
            if index == 21:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    camera(None, Pressed())
    num_frames, drawn, content = draw(detector, tmp_path)
    assert 21 <= num_frames <= 22
    assert drawn.num_frames == content["num_frames"] == num_frames
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_interrupts(detector, camera, tmp_path, monkeypatch):
    def stuck(source):
        yield np.full((HEIGHT, WIDTH, 3), 60, np.uint8), 0.0
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        yield from itertools.repeat((np.full((HEIGHT, WIDTH, 3), 60, np.uint8), 1.0))

    monkeypatch.setattr(demo_camera, "iterate_camera", stuck)
    with pytest.raises(KeyboardInterrupt):
        draw(detector, tmp_path)
    assert not list(tmp_path.iterdir())


def test_unsure_boxes_are_not_drawn(detector, camera, tmp_path):
    camera(10)
    _, drawn, content = draw(detector, tmp_path, min_score=0.9)
    assert content["tubes"] == []
    assert np.ptp(np.stack(list(drawn.frames())).astype(int), axis=(1, 2)).max() <= 4


def test_a_camera_that_gives_nothing_is_said(detector, camera, tmp_path):
    camera(0)
    with pytest.raises(VideoReadError, match="camera 0 gives no frame"):
        draw(detector, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_camera_that_is_not_there_is_said(detector, tmp_path):
    with pytest.raises(DataNotFoundError, match="no camera /dev/video97"):
        draw_camera("97", detector, DemoOutput(tmp_path / "drawn.mp4"))
