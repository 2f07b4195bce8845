import json
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from stal.data.video.stream import open_stream
from stal.engine.config import load_config
from stal.engine.runner import build_model
from stal.errors import ConfigError, DataNotFoundError, VideoReadError
from stal.inference.demo import DemoOutput, draw_video
from stal.inference.stream_detector import StreamDetector
from stal.visualize.drawing import colour

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "scenes_small_plain.py")
CLASSES = ("walk", "jump", "wave", "squat", "bow", "spin", "walk_umbrella", "jump_ball", "wave_racket")
WIDTH, HEIGHT = 320, 240
BOX, LABEL, SCORE = (80.0, 60.0, 160.0, 200.0), 3, 0.8


@pytest.fixture(scope="module")
def detector(one_actor_detector) -> StreamDetector:
    """Return a detector that sees one actor in `BOX` of a video of 320 x 240."""
    return one_actor_detector(CLASSES, BOX, (WIDTH, HEIGHT), LABEL, SCORE)


def write_video(path, num_frames=40, height=HEIGHT, width=WIDTH, times=None, rotation=0):
    """Write a grey video whose frames get brighter."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(num_frames):
            picture = np.full((height, width, 3), 60 + index, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index if times is None else times[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def draw(path, detector, tmp_path, **settings):
    output = DemoOutput(tmp_path / "drawn.mp4", tmp_path / "tubes.json", **settings)
    tubes = draw_video(open_stream(path), detector, output)
    return tubes, open_stream(output.video), json.loads(output.tubes.read_text())


@pytest.mark.parametrize("num_frames", [1, 5, 16, 40])
def test_the_tube_is_drawn_on_every_frame(detector, tmp_path, num_frames):
    path = write_video(tmp_path / "a.mp4", num_frames)
    (tube,), drawn, content = draw(path, detector, tmp_path)
    assert (tube.label, tube.frames.tolist()) == (LABEL, list(range(num_frames)))
    np.testing.assert_allclose(tube.boxes, np.tile(BOX, (num_frames, 1)), atol=1e-3)
    (written,) = content["tubes"]
    assert (written["label"], written["frames"]) == ("squat", [0, num_frames])
    assert written["score"] == pytest.approx(SCORE)
    assert written["boxes"][0] == pytest.approx(BOX, abs=0.01)
    assert (drawn.num_frames, drawn.height, drawn.width, drawn.fps) == (num_frames, HEIGHT, WIDTH, 25)
    for index, frame in enumerate(drawn.frames()):
        np.testing.assert_allclose(frame[130, 80:82].mean(0), colour(LABEL), atol=60)  # its left side
        np.testing.assert_allclose(frame[130, [40, 120]], 60 + index, atol=4)
        assert np.ptp(frame[44:59, 82:150].astype(int)) > 100  # its text


@pytest.mark.parametrize(
    ("height", "width", "drawn_height", "drawn_width", "scale"),
    [(241, 321, 240, 320, 1), (121, 161, 242, 322, 2), (90, 64, 450, 320, 5), (480, 640, 480, 640, 1)],
)
def test_small_videos_are_enlarged_and_odd_ones_cut(
    detector, tmp_path, height, width, drawn_height, drawn_width, scale
):
    path = write_video(tmp_path / "a.mp4", 3, height, width)
    (tube,), drawn, content = draw(path, detector, tmp_path)
    assert (drawn.height, drawn.width) == (drawn_height, drawn_width)
    assert (content["height"], content["width"]) == (height, width)
    box = np.array(BOX) * np.tile([width / WIDTH, height / HEIGHT], 2)
    np.testing.assert_allclose(tube.boxes[0], box, rtol=1e-4)
    left, middle = round(box[0] * scale), round(box[[1, 3]].mean() * scale)
    frame = next(drawn.frames())
    np.testing.assert_allclose(frame[middle, left], colour(LABEL), atol=70)


def test_a_turned_video_is_drawn_as_it_is_shown(detector, tmp_path):
    path = write_video(tmp_path / "a.mp4", 3, height=WIDTH, width=HEIGHT, rotation=90)
    (tube,), drawn, content = draw(path, detector, tmp_path)
    assert (content["height"], content["width"]) == (drawn.height, drawn.width) == (HEIGHT, WIDTH)
    np.testing.assert_allclose(tube.boxes[0], BOX, atol=1e-3)


def test_frames_of_a_rate_that_varies_keep_their_times(detector, tmp_path):
    times = [0, 1, 2, 3, 10, 11, 12, 20, 21]
    path = write_video(tmp_path / "a.mp4", len(times), times=times)
    _, drawn, content = draw(path, detector, tmp_path)
    assert not drawn.has_fixed_rate
    assert drawn.seconds.tolist() == pytest.approx([time / 25 for time in times], abs=1e-4)
    assert content["frame_seconds"] == pytest.approx([time / 25 for time in times], abs=1e-4)
    assert content["tubes"][0]["seconds"] == pytest.approx([0, 22 / 25], abs=1e-4)
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(22 / 25, abs=1e-4)


def test_a_folder_of_frames_is_a_video(detector, tmp_path):
    import cv2

    (tmp_path / "frames").mkdir()
    for number in range(1, 6):
        cv2.imwrite(str(tmp_path / f"frames/{number:05d}.png"), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    _, drawn, _ = draw(tmp_path / "frames", detector, tmp_path)
    assert (drawn.num_frames, drawn.fps) == (5, 25)


def test_unsure_tubes_are_left_out_and_the_video_is_drawn_without(detector, tmp_path):
    path = write_video(tmp_path / "a.mp4", 20)
    tubes, drawn, content = draw(path, detector, tmp_path, min_score=0.9)
    assert tubes == content["tubes"] == []
    frames = np.stack(list(drawn.frames()))
    assert np.ptp(frames.astype(int), axis=(1, 2)).max() <= 4


def test_gradients_are_laid_over_grey_frames_with_a_note(detector, tmp_path):
    path = write_video(tmp_path / "a.mp4", 20)
    (tube,), drawn, _ = draw(path, detector, tmp_path, gradients=True)
    assert drawn.num_frames == len(tube) == 20
    plain = 0.6 * 60
    for index, frame in enumerate(drawn.frames()):
        hot = np.abs(frame[80:180, 90:150].astype(int) - (plain + 0.6 * index)).max()
        assert hot > 40  # inside the actor
        assert (frame[-16:, :200] < 30).all(-1).mean() > 0.5  # the note's ground


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("none.mp4", DataNotFoundError, "there is no such video"),
        ("folder", VideoReadError, "the folder has no frames"),
        ("text.mp4", VideoReadError, "FFmpeg cannot decode it"),
        ("empty.mp4", VideoReadError, "the file is empty"),
        ("cut.mp4", VideoReadError, "FFmpeg cannot decode it"),
        ("sound.wav", VideoReadError, "there is no video stream"),
    ],
)
def test_what_cannot_be_read_is_said_and_nothing_is_left(detector, tmp_path, name, error, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(write_video(tmp_path / "a.mp4", 20).read_bytes()[:1000])
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(error, match=said):
        draw(tmp_path / name, detector, tmp_path)
    assert not (tmp_path / "drawn.mp4").exists() and not (tmp_path / "tubes.json").exists()


def test_outputs_that_cannot_be_are_said(detector, tmp_path):
    path = write_video(tmp_path / "a.mp4", 3)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="is the video itself"):
        draw_video(open_stream(path), detector, DemoOutput(tmp_path / ".." / tmp_path.name / "a.mp4"))
    assert path.read_bytes() == before
    with pytest.raises(ConfigError, match=r"ends with \.mp4"):
        DemoOutput(tmp_path / "a.avi")
    with pytest.raises(ConfigError, match="scores are from 0 to 1"):
        DemoOutput(tmp_path / "b.mp4", min_score=1.1)


# Linux counts what the process that started it held, if it is asked from outside.
_SAYS_ITS_MEMORY = """
import atexit, runpy, sys
atexit.register(lambda: print(open("/proc/self/status").read()))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.data
def test_a_long_video_takes_little_memory(shared, tmp_path):
    torch.manual_seed(0)
    weights = build_model(load_config(CONFIG)).state_dict()
    torch.save({"state_dict": weights, "meta": {"dataset_meta": {"classes": CLASSES}}}, tmp_path / "k.pth")
    source = shared / "media/torture/h264_longgop3000.mp4"
    command = [sys.executable, "-c", _SAYS_ITS_MEMORY, str(ROOT / "tools/demo.py"), str(source), "--config", CONFIG]
    command += ["--checkpoint", str(tmp_path / "k.pth"), "--out", str(tmp_path / "drawn.mp4"), "--min-score", "0.1"]
    command += ["--cfg-options", "model.proposals=network", "model.detector.min_score=1e-6"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=1200)
    assert done.returncode == 0, done.stderr
    peak_kilobytes = int(re.search(r"^VmHWM:\s+(\d+) kB", done.stdout, re.MULTILINE)[1])
    assert 100_000 < peak_kilobytes <= 1.5 * 2**20
    drawn, video = open_stream(tmp_path / "drawn.mp4"), open_stream(source)
    assert (drawn.num_frames, drawn.fps) == (video.num_frames, video.fps) == (3000, video.fps)
