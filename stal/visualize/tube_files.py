"""Write a gradient tube as files of every kind, in one pass over the frames of its video."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8

from stal.errors import ConfigError, ShapeError
from stal.visualize.files import write_gif, write_strip
from stal.visualize.plot_style import save_figure
from stal.visualize.tube_frames import draw_tube_frames
from stal.visualize.tube_page import tube_page
from stal.visualize.tube_picture import plot_tube
from stal.visualize.tube_space import Plane, small_plane
from stal.visualize.tube_view import TubeView
from stal.visualize.tube_volume import write_volume
from stal.visualize.video_writer import VideoWriter

Kind = Literal["mp4", "gif", "png", "tube", "html", "npz"]

_SUFFIXES = {"tube": "_space.png"}  # the other kinds are suffixes themselves
_GIF_FRAMES, _GIF_FPS = 24, 4.0  # at most: a GIF of all frames would be larger than the video
_NUM_STRIP_FRAMES = 4
_NUM_PLANES = 3


def write_tube_files(
    folder: Path,
    name: str,
    view: TubeView,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    kinds: Collection[Kind] = ("mp4", "png"),
) -> dict[Kind, Path]:
    """Write a gradient tube, and return the file of each kind.

    - `mp4`: the video above the same under heat, with boxes and a caption; H.264, as browsers play it.
    - `gif`: some frames of that, as fast as the video.
    - `png`: four of its frames side by side.
    - `tube`: the boxes as a tube through x, y and time, and the iso-surface of the gradient.
    - `html`: the same, to be turned, in one page that needs no network.
    - `npz`: the numbers, in half precision (`stal.visualize.tube_volume`).

    Of the video, only the few frames that pictures and GIF show are held in memory.

    Args:
        folder: where to write; it is made, and old files are replaced.
        name: of the files, without suffix.
        view: the gradient tube.
        frames: all frames of the video, in order.
        kinds: which files.

    Raises:
        ConfigError: there is no such kind.
        ShapeError: the frames are not as many as the tube's, or of another size.
    """
    check_kinds(kinds)
    paths: dict[Kind, Path] = {kind: folder / f"{name}{_SUFFIXES.get(kind, f'.{kind}')}" for kind in kinds}
    gif_step = max(1, round(view.fps / _GIF_FPS), -(-view.num_frames // _GIF_FRAMES))
    in_gif = range(0, view.num_frames, gif_step) if "gif" in paths else ()
    in_strip = view.spread_frames(_NUM_STRIP_FRAMES) if "png" in paths else ()
    in_space = view.spread_frames(_NUM_PLANES) if {"tube", "html"} & paths.keys() else ()

    folder.mkdir(parents=True, exist_ok=True)
    kept: dict[int, UInt8[np.ndarray, "H W 3"]] = {}
    planes: list[Plane] = []
    with ExitStack() as stack:
        write = _open_mp4(stack, paths["mp4"], view) if "mp4" in paths else None
        for number, frame in _numbered(frames, view):
            if number in in_space:
                planes.append(small_plane(number, frame))
            if write or number in in_gif or number in in_strip:
                (drawn,) = draw_tube_frames(view, frame[None], number)
                if write:
                    write(drawn)
                if number in in_gif or number in in_strip:
                    kept[number] = drawn

    if "gif" in paths:
        write_gif(paths["gif"], np.stack([kept[number] for number in in_gif]), view.fps / gif_step)
    if "png" in paths:
        write_strip(paths["png"], np.stack([kept[number] for number in in_strip]), len(in_strip))
    if "tube" in paths:
        save_figure(plot_tube(view, planes), paths["tube"])
    if "html" in paths:
        paths["html"].write_text(tube_page(view, planes), encoding="utf-8")
    if "npz" in paths:
        write_volume(paths["npz"], view)
    return paths


def check_kinds(kinds: Collection[str]) -> None:
    """Raise a ConfigError that names the kinds of files that there are, if one of `kinds` is none or there is none."""
    unknown = sorted(set(kinds) - set(get_args(Kind)))
    if unknown or not kinds:
        raise ConfigError(f"kinds {', '.join(unknown) or '(none)'}: name some of {', '.join(get_args(Kind))}")


def _open_mp4(stack: ExitStack, path: Path, view: TubeView) -> Callable[[UInt8[np.ndarray, "H W 3"]], None]:
    """Open the mp4 until `stack` ends, and return what takes its frames."""
    blank = np.zeros((1, *view.video_size, 3), np.uint8)
    height, width = draw_tube_frames(view, blank, 0).shape[1:3]
    return stack.enter_context(VideoWriter(path, view.fps, (height, width))).write


def _numbered(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], view: TubeView
) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
    """Yield frames with their numbers; raise a ShapeError unless they are those of the tube's video."""
    num_frames = 0
    for number, frame in enumerate(frames):
        if number == view.num_frames or frame.shape[:2] != view.video_size:
            raise ShapeError(
                f"video {view.tube.video_key}: frame {number} of {frame.shape[1]} x {frame.shape[0]} pixels, but the "
                f"tube is of {view.num_frames} frames of {view.video_size[1]} x {view.video_size[0]}"
            )
        yield number, frame
        num_frames = number + 1
    if num_frames < view.num_frames:
        raise ShapeError(f"video {view.tube.video_key}: {num_frames} frames, but the tube has {view.num_frames}")
