"""Decode frames with torchcodec, which is optional: of the files that it was measured to read right."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from stal.data.video.frame_table import FrameTable
from stal.errors import ConfigError, VideoReadError


def decode(path: Path, table: FrameTable, ordinals: Int64[np.ndarray, " T"]) -> UInt8[np.ndarray, "T H W 3"]:
    """Decode the frames `ordinals` (rising).

    Raises:
        VideoReadError: the file is of a kind that torchcodec may read wrong, or that it cannot read.
        ConfigError: torchcodec is not installed, or cannot be loaded.
    """
    if not table.torchcodec_is_exact:
        raise VideoReadError(
            f"{path}: torchcodec may return wrong frames of this {table.codec} video in {table.container} "
            "(B-frames, intra refresh, interlacing, damage, odd sizes, packets without a frame, or several video "
            "streams); use backend='pyav'"
        )
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, OSError, RuntimeError) as error:  # it looks for FFmpeg's libraries when it is imported
        raise ConfigError(
            "backend='torchcodec' needs torchcodec (`pip install torchcodec`) and FFmpeg's shared libraries "
            f"(`apt install ffmpeg`): {str(error).strip().partition(chr(10))[0]}; or use backend='pyav'"
        ) from error
    try:
        decoder = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact")
        if len(decoder) != len(table):
            raise VideoReadError(
                f"{path}: torchcodec counts {len(decoder)} frames where {len(table)} decode; use backend='pyav'"
            )
        frames = decoder.get_frames_at(ordinals.tolist()).data.numpy()
    except (RuntimeError, ValueError, IndexError) as error:
        raise VideoReadError(f"{path}: torchcodec cannot decode it ({error}); use backend='pyav'") from error
    return frames
