"""Short generated videos whose frames show their numbers."""

import av
import cv2
import numpy as np
import pytest

from stal.data.video.av_file import OPEN_ARGUMENTS

NUM_FRAMES, HEIGHT, WIDTH = 40, 48, 64
REPEATABLE = {"threads": "1", "mbtree": "0"}  # the same bytes every time
H264 = {"crf": "12", "g": "12", "keyint_min": "12", "sc_threshold": "0"} | REPEATABLE
KINDS = {
    "closed.mp4": ("libx264", H264 | {"bf": "0"}),
    "b_frames.mp4": ("libx264", H264 | {"bf": "3"}),
    "closed.mkv": ("libx264", H264 | {"bf": "0"}),
    "closed.avi": ("mpeg4", {"g": "12", "qscale": "2"}),
    "b_frames.avi": ("mpeg4", {"g": "12", "bf": "2", "qscale": "2"}),
    "trimmed.mp4": ("libx264", H264 | {"bf": "0"}),
    "trimmed_b_frames.mp4": ("libx264", H264 | {"bf": "3"}),
}
NUM_TRIMMED = 5  # frames before the first that is shown, which the file's edit list leaves out


def _picture(index):
    """A frame that shows its number: six columns, bright where the bit is set, above a bar that moves."""
    frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    for bit in range(6):
        frame[:24, 8 * bit : 8 * bit + 8] = 235 if index >> bit & 1 else 16
    frame[30:42, index : index + 12] = (220, 40, 40)
    return frame


def _write_video(
    path,
    codec="mpeg4",
    options=None,
    *,
    num_frames=NUM_FRAMES,
    rotation=0,
    times=None,
    title="",
    index_first=False,
    num_trimmed=0,
    num_streams=1,
    pixel_format="yuv420p",
):
    """Write a video; frames of further streams show other numbers."""
    with av.open(str(path), "w", options={"movflags": "+faststart"} if index_first else {}) as container:
        container.metadata["title"] = title
        streams = [container.add_stream(codec, rate=25) for _ in range(num_streams)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt, stream.options = WIDTH, HEIGHT, pixel_format, options or {}
            if rotation:
                stream.set_display_rotation(rotation)
        for index in range(-num_trimmed, num_frames):
            for number, stream in enumerate(streams):
                frame = av.VideoFrame.from_ndarray(_picture(index + number))
                frame.pts = index if times is None else times[index]
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def picture():
    """Draw the frame of a number below 64."""
    return _picture


@pytest.fixture(scope="session")
def write_video():
    """Write a video of these frames."""
    return _write_video


@pytest.fixture(scope="session")
def numbers():
    """Read the numbers off frames."""

    def read(frames):
        bits = frames[:, 6:18, 4 : 4 + 6 * 8 : 8].mean(axis=(1, 3)) > 125
        return (bits << np.arange(6)).sum(axis=1).tolist()

    return read


@pytest.fixture(scope="session")
def decode_all():
    """Decode every frame, in order, without seeking: the reference."""

    def decode(path):
        with av.open(str(path), **OPEN_ARGUMENTS) as container:
            container.streams.video[0].codec_context.thread_type = "NONE"
            frames = [np.rot90(f.to_ndarray(format="rgb24"), f.rotation // 90) for f in container.decode(video=0)]
        return np.stack(frames)

    return decode


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """One video of 40 frames of every kind, and a folder of frames."""
    root = tmp_path_factory.mktemp("videos")
    for name, (codec, options) in KINDS.items():
        _write_video(root / name, codec, options, num_trimmed=NUM_TRIMMED if name.startswith("trimmed") else 0)
    (root / "folder").mkdir()
    for index in range(NUM_FRAMES):
        cv2.imwrite(str(root / f"folder/{index + 1:05d}.png"), _picture(index)[..., ::-1])
    return root


@pytest.fixture(scope="session")
def avi_chunks():
    """Find the places in the content of an avi file where the chunks of its frames start, with their headers."""

    def find(content):
        end = content.rfind(b"idx1")
        return [i for i in range(content.find(b"movi"), end) if content[i : i + 4] == b"00dc"]

    return find
