"""Draw the tubes that a detector sees in front of a camera, as they come: what tools/demo.py does with --camera.

Frames are drawn a window's step after they were seen. Their boxes come from the one window that ends with them, and
are linked by the rules of the linker `online`, which looks back only.
"""

import itertools
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import numpy as np
from jaxtyping import UInt8

from stal.data.detected_tubes import DetectedVideo, write_detected_tubes
from stal.data.video.camera import iterate_camera
from stal.errors import VideoReadError
from stal.inference.demo import MIN_WIDTH, DemoOutput, draw_frame, drawn_size, tube_label
from stal.inference.detect_video import surest
from stal.inference.stream_detector import StreamDetector
from stal.inference.stream_heat import heat_of_frames, window_heat
from stal.linking.candidates import Candidates
from stal.linking.linker import Linker
from stal.linking.live import LiveBox, LiveLinking
from stal.linking.merging import merge_in_order
from stal.linking.online import OnlineLinking
from stal.linking.trimming import KeepWhole
from stal.structures import Detections, Tube
from stal.visualize.drawing import fit_scale
from stal.visualize.video_writer import VideoWriter

_LAST_FRAME_FPS = 25.0  # says how long the last frame is shown, since no other comes to tell

TimedFrame = tuple[UInt8[np.ndarray, "H W 3"], float]


def draw_camera(source: str, detector: StreamDetector, output: DemoOutput) -> int:
    """Draw the tubes in front of a camera until it ends or Ctrl-C is pressed, and return the number of frames.

    Args:
        source: of the frames, see `iterate_camera`.
        detector: what sees the tubes; one window after the other goes through the network.
        output: what is made of them. The tubes are those that are drawn, with the frames between their boxes.

    Raises:
        DataNotFoundError: there is no such camera.
        VideoReadError: it cannot be read, or gives no frame.
        ConfigError: a file cannot be written.
    """
    candidates, link = Candidates(), OnlineLinking()
    linking = LiveLinking(candidates, link)
    waiting: deque[TimedFrame] = deque()  # to be drawn
    seconds: list[float] = []
    found: list[Detections] = []
    with _until_interrupted() as interrupted:
        camera = itertools.takewhile(lambda _: not interrupted.is_set(), iterate_camera(source))
        first = next(camera, None)
        if first is None:
            raise VideoReadError(f"camera {source} gives no frame")
        height, width, _ = first[0].shape
        scale = fit_scale(width, MIN_WIDTH, width)
        frames = _kept(itertools.chain([first], camera), waiting)
        step = min(detector.step, detector.num_frames_covered)  # what is between windows cannot be filled in yet
        keyframes = itertools.count(detector.first_keyframe, step)
        windows, seen = itertools.tee(detector.windows(frames, keyframes, f"camera {source}"))
        parts = merge_in_order(detector.detect(seen), at_once=True)
        with VideoWriter(output.video, _LAST_FRAME_FPS, drawn_size(height, width, scale)) as writer:
            for window, part in zip(windows, parts, strict=True):
                shown = []
                for frame in part.frames:
                    boxes = linking.add(frame, part.detections[part.detections.frames == frame])
                    shown.append([box for box in boxes if box.score >= output.min_score])
                heats: Iterable = itertools.repeat(None)
                if output.gradients:
                    heat = window_heat(detector.model, window, _as_tubes(shown, part.frames.start))
                    heats = heat_of_frames(window, heat, part.frames)
                for boxes, heat in zip(shown, heats, strict=False):
                    image, time = waiting.popleft()
                    boxes = sorted(boxes, key=lambda box: -box.score)
                    labels = [tube_label(box.box, box.label, box.score, detector.classes) for box in boxes]
                    writer.write(draw_frame(image, labels, scale, heat), time)
                    seconds.append(time)
                if output.tubes is not None:
                    found.append(candidates(part.detections))
    if output.tubes is not None:
        at_once = Linker(candidates, link, KeepWhole(), min_length=1)
        write_detected_tubes(
            DetectedVideo(
                source=source,
                height=height,
                width=width,
                fps=1 / float(np.median(np.diff(seconds))) if len(seconds) > 1 else _LAST_FRAME_FPS,
                has_fixed_rate=False,
                seconds=np.array(seconds),
                classes=detector.classes,
                tubes=surest(at_once(Detections.concatenate(found), num_frames=len(seconds)), output.min_score),
            ),
            output.tubes,
        )
    return len(seconds)


def _kept(frames: Iterable[TimedFrame], waiting: deque[TimedFrame]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Give frames without their times, and leave them in `waiting`."""
    for frame in frames:
        waiting.append(frame)
        yield frame[0]


def _as_tubes(shown: Sequence[Sequence[LiveBox]], first_frame: int) -> list[Tube]:
    """Return the boxes of some consecutive frames as one tube for each path."""
    paths: dict[int, list[tuple[int, LiveBox]]] = {}
    for frame, boxes in enumerate(shown, first_frame):
        for box in boxes:
            paths.setdefault(box.path, []).append((frame, box))
    return [
        Tube(
            path[0][1].label, np.array([frame for frame, _ in path]), np.stack([box.box for _, box in path]), id=number
        )
        for number, path in paths.items()
    ]


@contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """Let Ctrl-C set an event, so that what is being written can be completed; a second one interrupts as ever."""
    event = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
