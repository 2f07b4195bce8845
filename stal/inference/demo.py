"""Draw the tubes that a detector sees in any video, however long: what tools/demo.py does with a file.

The video is read twice, in order: first to detect and link, since a tube is only known when its last frame was seen,
then to draw. What is held is a window of frames, and the boxes of all of them.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from stal.data.detected_tubes import write_detected_tubes
from stal.data.video.stream import StreamedVideo
from stal.engine.display.counting import counting
from stal.errors import ConfigError
from stal.inference.detect_video import detect_video
from stal.inference.stream_detector import StreamDetector
from stal.inference.stream_heat import NOTE, stream_heat
from stal.structures import Tube
from stal.visualize.drawing import colour, fit_scale, resize
from stal.visualize.heat import draw_heat
from stal.visualize.tube_overlay import BoxLabel, draw_box_labels
from stal.visualize.video_writer import VideoWriter

MIN_WIDTH = 320
"""Of what is drawn: smaller videos are enlarged until text on them can be read."""


@dataclass(frozen=True)
class DemoOutput:
    """What is made of a video.

    Attributes:
        video: mp4 to draw into.
        tubes: JSON file for the tubes; None for none.
        gradients: whether to draw where the tubes' scores come from.
        min_score: tubes that score less are left out.
    """

    video: Path
    tubes: Path | None = None
    gradients: bool = False
    min_score: float = 0.3

    def __post_init__(self) -> None:
        if self.video.suffix != ".mp4":
            raise ConfigError(f"--out {self.video}: an mp4 is written; give it a name that ends with .mp4")
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"--min-score {self.min_score}: scores are from 0 to 1")


def draw_video(
    stream: StreamedVideo,
    detector: StreamDetector,
    output: DemoOutput,
    *,
    video_key: str | None = None,
    show_progress: bool = True,
) -> list[Tube]:
    """Draw the tubes of a video file or a folder of frames, and return them, the surest first.

    Args:
        stream: the video; its frames keep their times.
        detector: what sees the tubes.
        output: what is made of them.
        video_key: what proposals call the video; None for the name of the file without its suffix.
        show_progress: show on the error stream how far it is.

    Raises:
        VideoReadError: a frame cannot be decoded.
        ConfigError: a file cannot be written, or is the video itself.
    """
    if output.video.exists() and output.video.samefile(stream.path):
        raise ConfigError(f"--out {output.video} is the video itself; name another file")
    video_key = video_key or stream.path.stem
    scale = fit_scale(stream.width, MIN_WIDTH, stream.width)
    with VideoWriter(output.video, stream.fps, drawn_size(stream.height, stream.width, scale)) as writer:
        detected = detect_video(stream, detector, output.min_score, video_key=video_key, show_progress=show_progress)
        tubes = list(detected.tubes)
        heats = _heats(stream, detector, tubes, video_key) if output.gradients else itertools.repeat(None)
        first, last = (np.array([tube.frames[end] for tube in tubes], np.int64) for end in (0, -1))
        with counting("drawing", stream.num_frames, is_shown=show_progress) as counted:
            for index, (frame, heat) in enumerate(zip(counted(stream.frames()), heats, strict=False)):
                shown = [tubes[row] for row in np.flatnonzero((first <= index) & (index <= last))]
                labels = [
                    tube_label(tube.boxes[index - tube.frames[0]], tube.label, tube.score or 0.0, detector.classes)
                    for tube in shown
                ]
                drawn = draw_frame(frame, labels, scale, heat)
                writer.write(drawn, None if stream.has_fixed_rate else float(stream.seconds[index]))
    if output.tubes is not None:
        write_detected_tubes(detected, output.tubes)
    return tubes


def drawn_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Return the size of a frame that `draw_frame` gives."""
    return round(height * scale), round(width * scale)


def tube_label(box: Float32[np.ndarray, " 4"], label: int, score: float, classes: Sequence[str]) -> BoxLabel:
    """Return what is drawn of a tube on a frame: its class has a colour."""
    return BoxLabel(box, f"{classes[label]} {score:.2f}", colour(label))


def draw_frame(
    frame: UInt8[np.ndarray, "H W 3"],
    labels: Sequence[BoxLabel],
    scale: float,
    heat: Float32[np.ndarray, "h w"] | None,
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return a frame with its tubes.

    Args:
        frame: of the video.
        labels: boxes in pixels of this frame.
        scale: how many times as large it is to be drawn.
        heat: to lay over the frame, in [0, 1]; None for none.
    """
    if scale != 1:
        (frame,) = resize(frame[None], scale)
    if heat is not None:
        (frame,) = draw_heat(frame[None], heat[None])
    enlarged = [label._replace(box=label.box * np.float32(scale)) for label in labels]
    return draw_box_labels(frame, enlarged, NOTE if heat is not None else "")


def _heats(
    stream: StreamedVideo, detector: StreamDetector, tubes: Sequence[Tube], video_key: str
) -> Iterator[Float32[np.ndarray, "h w"]]:
    """Give the heat of every frame; the video is read once more, a window ahead of what is drawn."""
    span = detector.num_frames_clip * detector.stride
    keyframes = detector.keyframes(stream.num_frames, step=span)
    return stream_heat(detector.model, detector.windows(stream.frames(), keyframes, video_key), tubes)
