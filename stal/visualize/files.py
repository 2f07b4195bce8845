"""Write frames to files that people can open: mp4 and PNG."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import UInt8


def write_video(path: Path, frames: UInt8[np.ndarray, "T H W 3"], fps: float) -> None:
    """Write frames as H.264 in mp4 that browsers play; an odd height or width loses its last row or column."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, height, width, _ = frames.shape
    even = np.ascontiguousarray(frames[:, : height - height % 2, : width - width % 2])
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18"}
        for frame in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_strip(path: Path, frames: UInt8[np.ndarray, "T H W 3"], num_frames: int = 6) -> None:
    """Write `num_frames` frames, evenly spread, side by side as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = np.linspace(0, len(frames) - 1, min(num_frames, len(frames))).round().astype(int)
    gap = np.full((frames.shape[1], 4, 3), 255, np.uint8)
    columns = [part for index in chosen for part in (frames[index], gap)][:-1]
    _, png = cv2.imencode(".png", cv2.cvtColor(np.concatenate(columns, axis=1), cv2.COLOR_RGB2BGR))
    path.write_bytes(png.tobytes())  # cv2.imwrite would fail without a word
