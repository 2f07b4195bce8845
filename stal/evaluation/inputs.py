"""What is evaluated: read from files, linked where there are no tubes yet, and in flat tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from stal.data.evaluation_files import read_evaluation
from stal.errors import ConfigError
from stal.linking.linker import Linker, find_linker, link_videos
from stal.metrics.tables import Tables, make_tables
from stal.structures import Annotations, Detections, Tube

DEFAULT_LINKER = "default"
NO_LINKER = "none"
_VIDEOS_AT_ONCE = 20  # linked between two steps of the progress bar


@dataclass(frozen=True)
class Evaluand:
    """Ground truth and predictions, ready to be scored.

    Attributes:
        annotations: the ground truth.
        tables: the ground truth and the predictions.
        origin: the files, how tubes came about, and what was dropped, as it is written beside the numbers.
    """

    annotations: Annotations
    tables: Tables
    origin: dict[str, Any]


def read_evaluand(
    detections: str | Path,
    *,
    ground_truth: str | Path | None = None,
    tubes: str | Path | None = None,
    split: str | None = None,
    link: str | None = None,
    trim: str | None = None,
    drop_invalid: bool = False,
    tubes_needed: bool = True,
) -> Evaluand:
    """Read what is to be evaluated, and link the detections if there are no tubes.

    Args:
        detections: .npz of detections, see `read_detections`.
        ground_truth: see `read_ground_truth`; None if `detections` holds it.
        tubes: .npz of tubes; None if `detections` holds them, or they are to be linked.
        split: of the ground truth.
        link: name of a linker, which makes the tubes even if `detections` holds some; None to link, with the default
            linker, only if there are none; `none` for no tubes where there are none, and no video-mAP then.
        trim: name of a trimmer that takes the place of the linker's own.
        drop_invalid: drop and count invalid predictions instead of raising.
        tubes_needed: whether tubes will be scored; if not, none are linked.

    Raises:
        StalError: A file cannot be read or is invalid, there is no such linker or trimmer, or tubes were given that
            linking would replace.
    """
    may_link = link != NO_LINKER and tubes_needed
    link = link if link != NO_LINKER else None
    if tubes is not None and link is not None:
        raise ConfigError(f"tubes are given in {tubes}, and --link {link} would make others; leave one of them out")
    linker = find_linker(link or DEFAULT_LINKER, trim)
    file = read_evaluation(ground_truth, detections, tubes, split=split, drop_invalid=drop_invalid)
    linked = may_link and (file.tubes is None or link is not None)
    if trim is not None and not linked:
        raise ConfigError(
            f"--trim {trim}: only tubes that are linked here are trimmed, and these are not; name a linker with --link"
        )
    videos = file.annotations.videos
    found = link_with_progress(linker, file.detections, file.annotations) if linked else file.tubes
    tables = make_tables(
        videos, len(file.annotations.classes), detections=file.detections, tubes=found, half_open=file.half_open
    )
    if not file.sizes_known:
        tables = replace(tables, sizes=np.zeros_like(tables.sizes))
    origin = {
        "ground_truth": str(ground_truth or detections),
        "split": split,
        "detections": str(detections),
        "tubes": str(tubes or detections) if file.tubes is not None and not linked else None,
        "linked_by": repr(linker) if linked else None,
        "half_open": file.half_open,
        "dropped": dict(file.dropped),
        "num_videos_without_predictions": file.num_videos_without_predictions,
    }
    return Evaluand(file.annotations, tables, origin)


def link_with_progress(
    linker: Linker, detections: Mapping[str, Detections], annotations: Annotations
) -> dict[str, Sequence[Tube]]:
    """Link all videos; on a terminal, show how far that is."""
    lengths = {video.key: video.num_frames for video in annotations.videos}
    keys = list(lengths)
    parts = [keys[start : start + _VIDEOS_AT_ONCE] for start in range(0, len(keys), _VIDEOS_AT_ONCE)]
    console = Console(stderr=True)
    tubes: dict[str, Sequence[Tube]] = {}
    for part in track(parts, "linking", console=console, transient=True, disable=not console.is_terminal):
        some = {key: detections[key] for key in part if key in detections}
        tubes |= link_videos(linker, some, {key: lengths[key] for key in part})
    return tubes
