"""Decode frames with decord, which is optional: of the files that it was measured to read right."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from stal.data.video.frame_table import FrameTable
from stal.errors import ConfigError, VideoReadError


def decode(path: Path, table: FrameTable, ordinals: Int64[np.ndarray, " T"]) -> UInt8[np.ndarray, "T H W 3"]:
    """Decode the frames `ordinals` (rising).

    Raises:
        VideoReadError: the file is of a kind that decord may read wrong, or that it cannot read.
        ConfigError: decord is not installed.
    """
    if not table.decord_is_exact:
        raise VideoReadError(
            f"{path}: decord may return wrong frames of this {table.codec} video in {table.container} "
            "(B-frames, open groups of pictures, rotation, interlacing, trimming, damage, odd sizes, packets without a "
            "frame, or several video streams); use backend='pyav'"
        )
    try:
        import decord
    except ImportError as error:
        raise ConfigError("backend='decord' needs decord: `pip install decord`, or use backend='pyav'") from error
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        if len(reader) != len(table):
            raise VideoReadError(
                f"{path}: decord counts {len(reader)} frames where {len(table)} decode; use backend='pyav'"
            )
        frames = reader.get_batch(ordinals).asnumpy()
    except (decord.DECORDError, UnicodeEncodeError) as error:  # it opens names that are UTF-8 alone
        raise VideoReadError(f"{path}: decord cannot decode it; use backend='pyav'") from error
    return frames
