"""The pictures of the documents that come from the detector that `make demo` trains."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stal.attribution.methods import Method
from stal.data.video.reader import read_frames
from stal.errors import DataNotFoundError
from stal.evaluation.evaluate import ALL_PROTOCOLS, evaluate_files
from stal.seeing.tube_source import TubeChoice, TubeSource, VideoChoice
from stal.visualize.files import write_small_png
from stal.visualize.tube_files import write_tube_files
from stal.visualize.tube_frames import draw_frames_alone, draw_heat_frames, draw_tube_frames
from stal.visualize.tube_view import TubeView
from stal.visualize.video_writer import VideoWriter

NAME = "gradient_tube"

_GRID_COLUMNS, _GAP = 4, 4
_COARSE = 25  # of H.264, where 18 is the rule


def draw_gradient_pictures(
    config_path: str,
    checkpoint: str,
    docs: Path,
    *,
    index: int = 0,
    work_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Path]:
    """Draw the surest detection of a video by its input gradient, and one frame of it by every method.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        docs: folder of the pictures.
        index: which video of the config's test split.
        work_dir: None for `work_dirs/<config>`.
        options: settings of the config to change.

    Yields:
        The files, as they are made: `gradient_tube.mp4`, `.gif` and `.png`, `gradient_tube_space.png` and
        `attribution_methods.png`.
    """
    source = TubeSource.load(
        config_path, checkpoint, VideoChoice(index=index), TubeChoice(), work_dir=work_dir, options=options
    )
    views = [source.look(method) for method in get_args(Method)]
    gradient = views[get_args(Method).index("input_gradient")]
    yield _write_small_video(docs / f"{NAME}.mp4", gradient, source.frames())
    files = write_tube_files(docs, NAME, gradient, source.frames(), ("gif", "png", "tube"))
    for path in files.values():
        if path.suffix == ".png":
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            write_small_png(path, pixels)
        yield path
    path = docs / "attribution_methods.png"
    number = gradient.spread_frames(3)[1]
    (frame,) = read_frames(source.video.path, [number], num_frames=source.video.num_frames)
    write_small_png(path, _method_grid(views, frame, number))
    yield path


def draw_evaluation_pictures(detections: Path, docs: Path) -> Iterator[Path]:
    """Draw the plots of detections that the documents show.

    Args:
        detections: the .npz that `make demo` leaves.
        docs: folder of the pictures.

    Yields:
        The files, as they are made: `error_budget.png` and `protocols.png`.

    Raises:
        DataNotFoundError: there are no detections.
    """
    if not detections.is_file():
        raise DataNotFoundError(
            f"{detections} is not there; `make demo` leaves it, or tools/test.py --dump {detections}"
        )
    for name, protocol, plot in (
        ("error_budget", "voc", "frames_error_budget"),
        ("protocols", ALL_PROTOCOLS, "protocols"),
    ):
        with tempfile.TemporaryDirectory() as plots:
            evaluate_files(detections, protocol=protocol, plots=plots)
            yield Path(shutil.copy(Path(plots) / f"{plot}.png", docs / f"{name}.png"))


def _write_small_video(path: Path, view: TubeView, frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Path:
    """Write what `write_tube_files` does as mp4, in fewer bytes."""
    drawn = [draw_tube_frames(view, frame[None], number)[0] for number, frame in enumerate(frames)]
    height, width, _ = drawn[0].shape
    with VideoWriter(path, view.fps, (height, width), crf=_COARSE) as writer:
        for frame in drawn:
            writer.write(frame)
    return path


def _method_grid(views: list[TubeView], frame: UInt8[np.ndarray, "H W 3"], number: int) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return a frame, and beside it the same under the heat of each method."""
    heated = [draw_heat_frames(view, frame[None], number)[0] for view in views]
    cells = [draw_frames_alone(views[0], frame[None], number)[0], *heated]
    height, width, _ = heated[0].shape
    cells += [np.zeros((height, width, 3), np.uint8)] * (-len(cells) % _GRID_COLUMNS)
    padded = [np.pad(cell, ((0, height - len(cell) + _GAP), (0, _GAP), (0, 0)), constant_values=255) for cell in cells]
    rows = [np.concatenate(padded[i : i + _GRID_COLUMNS], axis=1) for i in range(0, len(padded), _GRID_COLUMNS)]
    return np.concatenate(rows)[:-_GAP, :-_GAP]
