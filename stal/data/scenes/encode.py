"""Writing H.264 videos whose bytes depend on nothing but their frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

# Macroblock-tree rate control is off: with it the bytes differed in about 1 of 100 runs, on one thread too.
_OPTIONS = {"crf": "20", "preset": "veryfast", "g": "12", "bf": "0", "threads": "1", "mbtree": "0"}


def write_mp4(path: Path, frames: UInt8[np.ndarray, "T H W 3"], fps: float) -> None:
    """Encode RGB frames as H.264 in mp4, with a key frame every 12 frames, no B-frames, and one thread.

    Args:
        path: the file; its folder must be there.
        frames: of even height and width.
        fps: frames per second.
    """
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options=_OPTIONS)
        _, stream.height, stream.width, _ = frames.shape
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
