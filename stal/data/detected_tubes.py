"""Detected tubes of one video as JSON, for programs that go on with them.

Layout:

    {"format": "stal-detected-tubes", "version": 1,
     "video": "clips/party.mp4",
     "num_frames": 300, "height": 240, "width": 320,  as the video is shown, after its rotation
     "fps": 29.97,                                    the usual, if frames have no fixed rate
     "frame_seconds": null,                           else when each frame is shown, from the first on
     "classes": ["walk", "jump"],                     all that the detector knows
     "tubes": [{                                      the surest first
        "id": 0, "label": "walk", "score": 0.91,
        "frames": [12, 40],                           [start, stop): 0-based, every frame between has a box
        "seconds": [0.4, 1.334],                      when the first is shown, and when the last no longer is
        "boxes": [[10.0, 20.5, 42.0, 99.0], ...]      xyxy half-open pixels of the video, one row for each frame
     }]}
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from stal.data.formats.whole_file import open_whole
from stal.structures import Tube

FORMAT = "stal-detected-tubes"
VERSION = 1


@dataclass(frozen=True, eq=False)
class DetectedVideo:
    """What was detected in one video.

    Attributes:
        source: the video, as it was named.
        height, width: size in pixels of a frame as it is shown.
        fps: frames per second; where they have no fixed rate, the usual.
        has_fixed_rate: whether frame i is shown at i / `fps` seconds.
        seconds: (N,) when each frame is shown, from the first on.
        classes: names of the classes.
        tubes: each with its score, and a box on every frame from its first to its last.
    """

    source: str
    height: int
    width: int
    fps: float
    has_fixed_rate: bool
    seconds: Float64[np.ndarray, " N"]
    classes: tuple[str, ...]
    tubes: Sequence[Tube]


def write_detected_tubes(video: DetectedVideo, path: str | Path) -> None:
    """Write what was detected in a video.

    Args:
        video: what was detected.
        path: the JSON file; its folder is made if there is none.

    Raises:
        ConfigError: the file cannot be written.
    """
    seconds = np.append(video.seconds, video.seconds[-1:] + 1 / video.fps).round(6)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "video": video.source,
        "num_frames": len(video.seconds),
        "height": video.height,
        "width": video.width,
        "fps": video.fps,
        "frame_seconds": None if video.has_fixed_rate else seconds[:-1].tolist(),
        "classes": list(video.classes),
        "tubes": [_tube_to_json(tube, number, video.classes, seconds) for number, tube in enumerate(video.tubes)],
    }
    with open_whole(path) as file:
        file.write(json.dumps(content).encode())
        file.write(b"\n")


def _tube_to_json(
    tube: Tube, number: int, classes: Sequence[str], seconds: Float64[np.ndarray, " N1"]
) -> dict[str, Any]:
    start, stop = int(tube.frames[0]), int(tube.frames[-1]) + 1
    return {
        "id": number,
        "label": classes[tube.label],
        "score": tube.score,
        "frames": [start, stop],
        "seconds": [float(seconds[start]), float(seconds[stop])],
        "boxes": tube.boxes.astype(np.float64).round(2).tolist(),
    }
