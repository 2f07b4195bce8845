"""Score files of detections: what tools/evaluate.py does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from rich.console import Console
from rich.progress import track

from stal.errors import ConfigError
from stal.evaluation.inputs import Evaluand, read_evaluand
from stal.evaluation.outputs import check_targets, write_json
from stal.evaluation.plots import draw_diagnosis, draw_protocols
from stal.evaluation.report import (
    print_diagnoses,
    print_note,
    print_origin,
    print_protocols,
    print_summary,
    print_written,
)
from stal.metrics.bootstrap import NUM_DRAWS, SEED
from stal.metrics.headlines import FRAME_THRESHOLDS, VIDEO_THRESHOLDS
from stal.metrics.protocol import PROTOCOLS, Protocol, find_protocol
from stal.metrics.resampling import draw_videos
from stal.metrics.summary import Evaluation, evaluate_tables, mean_over_splits

ALL_PROTOCOLS = "all"


def evaluate_files(
    detections: str | Path | Sequence[str | Path],
    *,
    ground_truth: str | Path | None = None,
    tubes: str | Path | Sequence[str | Path] | None = None,
    split: str | Sequence[str] | None = None,
    protocol: str = "voc",
    link: str | None = None,
    trim: str | None = None,
    drop_invalid: bool = False,
    frame_thresholds: Sequence[float] = FRAME_THRESHOLDS,
    video_thresholds: Sequence[float] = VIDEO_THRESHOLDS,
    num_draws: int = NUM_DRAWS,
    seed: int = SEED,
    out: str | Path | None = None,
    plots: str | Path | None = None,
) -> dict[str, Any]:
    """Score detections and tubes, print the numbers, and write them and their plots.

    Args:
        detections: .npz of detections; several are of the splits of one data set, whose mean is reported.
        ground_truth: a file of any kind that `read_ground_truth` reads; None if `detections` holds it.
        tubes: .npz of tubes, as many as there are of detections; None if `detections` holds them, or none are there
            yet and the detections are to be linked.
        split: of the ground truth, one for each file of detections; None for its only one, and for several files for
            `1`, `2`, ... in this order.
        protocol: name of a protocol, or `all`.
        link: name of a linker, see `read_evaluand`.
        trim: name of a trimmer, see `read_evaluand`.
        drop_invalid: drop and count invalid predictions instead of raising.
        frame_thresholds: IoU thresholds of frame-mAP, in (0, 1]. The diagnosis is at 0.5.
        video_thresholds: those of video-mAP, beside its mean over 0.5:0.95.
        num_draws: bootstrap draws for the confidence intervals; 0 for no intervals. For all protocols they are only
            drawn for `out`.
        seed: of the draws.
        out: .json to write the numbers to; None for none.
        plots: folder to write the plots to; None for none.

    Returns:
        What is written to `out`: see `summarize`, with `frames` and `tubes`, what is behind the numbers (see
        `describe_diagnosis`), and `origin`. For several files, see `mean_over_splits`. For all protocols, `protocols`
        holds the numbers of each by its name.

    Raises:
        StalError: A file cannot be read or is invalid, or there is no such protocol, linker, trimmer or split.
    """
    check_targets(out, plots)
    protocols = list(PROTOCOLS.values()) if protocol == ALL_PROTOCOLS else [find_protocol(protocol)]
    num_draws = num_draws if len(protocols) == 1 or out is not None else 0  # the table of all has no room for intervals
    thresholds = {"frame_thresholds": tuple(frame_thresholds), "video_thresholds": tuple(video_thresholds)}
    scored: list[dict[str, Evaluation]] = []
    for path, tube_path, of_split in _jobs(_listed(detections), _listed(tubes), _listed(split), ground_truth):
        evaluand = read_evaluand(
            path,
            ground_truth=ground_truth,
            tubes=tube_path,
            split=of_split,
            link=link,
            trim=trim,
            drop_invalid=drop_invalid,
            tubes_needed=any(p.video is not None for p in protocols),
        )
        print_origin(evaluand.origin)
        counts = draw_videos(len(evaluand.tables.num_frames), num_draws, seed, split=len(scored))
        scored.append(_score(evaluand, protocols, counts, seed, thresholds))
        if len(protocols) == 1:
            only = scored[-1][protocols[0].name]
            print_summary(only.summary, evaluand.origin["detections"])
            print_diagnoses({kind: only.summary[kind] for kind in only.diagnoses})

    several = len(scored) > 1
    possible = [p.name for p in protocols if all(p.name in of_job for of_job in scored)]
    by_protocol = {name: _mean([of_job[name] for of_job in scored], seed) for name in possible}
    if len(possible) < len(protocols):
        left_out = ", ".join(p.name for p in protocols if p.name not in possible)
        print_note(f"left out: {left_out}, which scales boxes, as the size of the videos is not known (no `hw`)")
    if protocol == ALL_PROTOCOLS:
        print_protocols(by_protocol)
    elif several:
        print_summary(by_protocol[protocol], f"mean over {len(scored)} splits")
    written = {"protocols": by_protocol} if protocol == ALL_PROTOCOLS else by_protocol[protocol]
    if out is not None:
        write_json(out, written)
    if plots is not None and protocol == ALL_PROTOCOLS:
        draw_protocols(by_protocol, Path(plots))
    elif plots is not None:
        for number, of_job in enumerate(scored):
            only = of_job[protocol]
            folder = Path(plots) / (only.summary["origin"]["split"] or str(number)) if several else Path(plots)
            draw_diagnosis(only.summary, only.diagnoses, only.classes, folder)
    print_written(out, plots)
    return written


def _score(
    evaluand: Evaluand,
    protocols: Sequence[Protocol],
    counts: Float64[np.ndarray, "V B"],
    seed: int,
    thresholds: Mapping[str, Sequence[float]],
) -> dict[str, Evaluation]:
    """Return the numbers of every protocol, by name, and of a single one what is behind them.

    Of several, those are left out that need the size of the videos, where it is not known.
    """
    console = Console(stderr=True)
    several_protocols = len(protocols) > 1
    silent = not several_protocols or not console.is_terminal
    tables, classes = evaluand.tables, evaluand.annotations.classes
    scored = {}
    if several_protocols and not tables.sizes.all():
        protocols = [protocol for protocol in protocols if protocol.frame.frame_size is None]
    for protocol in track(protocols, "scoring", console=console, transient=True, disable=silent):
        one = evaluate_tables(
            tables,
            classes,
            protocol,
            counts,
            seed=seed,
            headlines_only=several_protocols,
            maps=None,  # files of detections hold none
            **thresholds,
        )
        scored[protocol.name] = replace(one, summary=one.summary | {"origin": evaluand.origin})
    return scored


def _mean(scored: Sequence[Evaluation], seed: int) -> dict[str, Any]:
    """Return the numbers of one split, or their mean over several."""
    if len(scored) == 1:
        return scored[0].summary
    other = next((of_split for of_split in scored if of_split.classes != scored[0].classes), None)
    if other is not None:
        raise ConfigError(
            f"splits have other classes, {scored[0].classes} and {other.classes}: there is no mean of them"
        )
    return mean_over_splits(
        [of_split.summary for of_split in scored], [s.values for s in scored], scored[0].classes, seed=seed
    )


def _listed(value: str | Path | Sequence[str | Path] | None) -> list[Any]:
    """Return one or several as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str | Path) else list(value)


def _jobs(
    detections: list[Any], tubes: list[Any], splits: list[Any], ground_truth: str | Path | None
) -> list[tuple[Any, Any | None, str | None]]:
    """Return the detections, the tubes and the split of each file."""
    if not detections:
        raise ConfigError("there is no file of detections; name at least one")
    if not splits and len(detections) > 1 and ground_truth is not None:
        splits = [str(number + 1) for number in range(len(detections))]
    for kind, given in (("tubes", tubes), ("splits", splits)):
        if given and len(given) != len(detections):
            raise ConfigError(f"{len(detections)} files of detections, but {len(given)} {kind}: give one for each")
    none = [None] * len(detections)
    return list(zip(detections, tubes or none, splits or none, strict=True))
