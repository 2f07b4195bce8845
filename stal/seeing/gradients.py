"""Draw the gradient tube of a detection or an annotated tube: what tools/visualize_gradients.py does."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stal.attribution.methods import Method
from stal.attribution.roi_score import Pathway
from stal.seeing.tube_source import TubeChoice, TubeSource, VideoChoice
from stal.visualize.tube_files import Kind, check_kinds, write_tube_files
from stal.visualize.tube_view import TubeView


def draw_gradient_tubes(
    config_path: str,
    checkpoint: str,
    *,
    video: VideoChoice | None = None,
    tube: TubeChoice | None = None,
    method: Method = "input_gradient",
    pathway: Pathway = "both",
    kinds: Collection[Kind] = ("mp4", "png"),
    signed: bool = False,
    out: str | None = None,
    work_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Path]:
    """Draw where the score of a tube comes from, through a whole video.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        video: which video; None for the first that the config tests on.
        tube: which tube of it; None for the surest detection.
        method: of attribution, see `stal.attribution.methods.attribute`.
        pathway: the way into the network that is looked at, see `RoiScore`.
        kinds: of files, see `write_tube_files`.
        signed: show signed values; False for magnitudes.
        out: folder for the files; None for `gradients` in the work directory.
        work_dir: None for `work_dirs/<config>`.
        options: settings of the config to change.

    Returns:
        The files by their kind, and as `json` the one with the energy shares of every window.

    Raises:
        StalError: there is no such video, tube, method or kind, or the checkpoint cannot be used; the message says
            which.
    """
    check_kinds(kinds)
    source = TubeSource.load(
        config_path, checkpoint, video or VideoChoice(), tube or TubeChoice(), work_dir=work_dir, options=options
    )
    view = source.look(method, pathway, signed=signed)
    folder, name = Path(out) if out else source.folder, source.video.key.replace("/", "_")
    files = write_tube_files(folder, name, view, source.frames(), kinds)
    shares = folder / f"{name}.json"
    shares.write_text(json.dumps(_shares(view), indent=2) + "\n", encoding="utf-8")
    return dict(files) | {"json": shares}


def _shares(view: TubeView) -> dict[str, Any]:
    """Return the numbers behind the pictures; the frames of a window are those that it gives to the gradient tube."""
    tube = view.tube
    numbers = np.stack([tube.scores, tube.inside_shares, tube.volume_shares], axis=1)
    changes = 1 + np.flatnonzero((numbers[1:] != numbers[:-1]).any(axis=1))
    runs = np.split(np.arange(view.num_frames), changes)  # NaN differs from NaN: frames without a window stand alone
    return {
        "video": tube.video_key,
        "class": view.action,
        "tube": view.origin,
        "method": tube.method,
        "pathway": tube.pathway,
        "windows": [
            {
                "frames": [int(run[0]), int(run[-1])],
                "score": float(tube.scores[run[0]]),
                "gradient_energy_in_box": float(tube.inside_shares[run[0]]),
                "box_share_of_clip": float(tube.volume_shares[run[0]]),
            }
            for run in runs
            if not np.isnan(numbers[run[0]]).any()
        ],
    }
