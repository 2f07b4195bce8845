"""Write frames to files that people can open: mp4, GIF and PNG."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stal.visualize.video_writer import VideoWriter

_PALETTE_FRAMES = 8  # that a palette is made from
_STILL_CHANGE = 16  # of 255: the noise of a compressed video


def write_video(path: Path, frames: UInt8[np.ndarray, "T H W 3"], fps: float) -> None:
    """Write frames as H.264 in mp4 that browsers play; an odd height or width loses its last row or column."""
    height, width = frames.shape[1:3]
    with VideoWriter(path, fps, (height, width)) as writer:
        for frame in frames:
            writer.write(frame)


def write_gif(path: Path, frames: UInt8[np.ndarray, "T H W 3"], fps: float, num_colours: int = 64) -> None:
    """Write frames as a small GIF that repeats.

    One palette serves all frames, nothing is dithered, and a pixel that hardly changes keeps its colour, so that a
    still background costs nothing.

    Args:
        path: file to write; its folder is made.
        frames: the video.
        fps: frames per second; browsers show at most 50.
        num_colours: of the palette, from 4 to 256.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = [frames[0]]
    for frame in frames[1:]:
        is_still = np.abs(frame.astype(np.int16) - held[-1]).max(axis=-1, keepdims=True) <= _STILL_CHANGE
        held.append(np.where(is_still, held[-1], frame))
    palette = _palette(frames, num_colours)
    first, *rest = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in held)
    duration = max(20, round(1000 / fps))  # milliseconds; browsers take less than 20 for 100
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=duration, loop=0, optimize=True)


def write_small_png(path: Path, picture: UInt8[np.ndarray, "H W 3"], num_colours: int = 192) -> None:
    """Write a PNG with a palette: in all its colours, heat over a video is several times as large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    palette = _palette(picture[None], num_colours)
    Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)


def _palette(frames: UInt8[np.ndarray, "T H W 3"], num_colours: int) -> Image.Image:
    """Return an image with a palette for frames: most of it by how common colours are, the rest by how different.

    By frequency alone, the few pixels of strong heat and of lines would have no colour of their own.
    """
    num_sampled = min(len(frames), _PALETTE_FRAMES)
    sample = np.concatenate(frames[np.linspace(0, len(frames) - 1, num_sampled).round().astype(int)])
    num_common = 2 * num_colours // 3
    colours = [
        Image.fromarray(sample).quantize(count, method=method).getpalette()[: 3 * count]  # type: ignore[index]
        for count, method in (
            (num_common, Image.Quantize.MEDIANCUT),
            (num_colours - num_common, Image.Quantize.MAXCOVERAGE),
        )
    ]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for part in colours for value in part])
    return palette


def write_strip(path: Path, frames: UInt8[np.ndarray, "T H W 3"], num_frames: int = 6) -> None:
    """Write `num_frames` frames, evenly spread, side by side as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = np.linspace(0, len(frames) - 1, min(num_frames, len(frames))).round().astype(int)
    gap = np.full((frames.shape[1], 4, 3), 255, np.uint8)
    columns = [part for index in chosen for part in (frames[index], gap)][:-1]
    _, png = cv2.imencode(".png", cv2.cvtColor(np.concatenate(columns, axis=1), cv2.COLOR_RGB2BGR))
    path.write_bytes(png.tobytes())  # cv2.imwrite would fail without a word
