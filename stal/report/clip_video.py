"""One small H.264 film with the frames of a video and, below them, the heat of each gradient tube.

They are rows of one picture, not films of their own, so that whatever plays it shows them of the same moment:

    +---------+
    |  frame  |
    +---------+
    | heat 0  |
    +---------+
    | heat 1  |
    +---------+
"""

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8

from stal.visualize.heat import SEQUENTIAL

MAX_WIDTH = 320
_BLOCK = 16  # pixels of H.264's blocks: rows that begin with one do not bleed into each other
_GAMMA = 0.5  # below 1 it lifts low values, as in the pictures of `draw_heat`
_OPTIONS = {
    "crf": "28",
    "preset": "slow",
    "g": "12",  # frames from one to the next that stands alone, so that a slider moves fast
    "bf": "0",  # frame i is shown from i / fps on
    "threads": "1",
    "mbtree": "0",  # with it, the bytes differ from run to run, rarely
}


def clip_size(height: int, width: int) -> tuple[int, int]:
    """Return the (height, width) in which a video of this size is shown: no wider than 320, and even."""
    scale = min(1.0, MAX_WIDTH / width)
    return max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))


def row_height(height: int) -> int:
    """Return how far apart the rows of the film are, of which each is `height` pixels high."""
    return -(-height // _BLOCK) * _BLOCK


def encode_rows(frames: UInt8[np.ndarray, "T H W 3"], heats: Sequence[Float[np.ndarray, "T h w"]], fps: float) -> bytes:
    """Return an mp4 of frames above heat.

    Args:
        frames: of the video.
        heats: of each gradient tube, values in [0, 1]; the colours are those of `inferno`, on black.
        fps: frames per second.
    """
    height, width = clip_size(*frames.shape[1:3])
    distance = row_height(height)
    palette = (255 * matplotlib.colormaps[SEQUENTIAL](np.arange(256))[:, :3]).astype(np.uint8)
    palette[0] = 0  # nothing is to be added where there is nothing
    film = io.BytesIO()
    with av.open(film, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=_OPTIONS)
        stream.height, stream.width = distance * (1 + len(heats)), width
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(frames):
            maps = (cv2.resize(h[number].astype(np.float32), (width, height)).clip(0, 1) ** _GAMMA for h in heats)
            rows = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)]
            rows += [palette[(255 * values).astype(np.uint8)] for values in maps]
            padding = ((0, distance - height), (0, 0), (0, 0))
            picture = np.concatenate([np.pad(row, padding, mode="edge") for row in rows])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return film.getvalue()
