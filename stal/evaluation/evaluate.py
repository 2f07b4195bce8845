"""Score files of detections: what tools/evaluate.py does."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from stal.errors import ConfigError
from stal.evaluation.inputs import Evaluand, named_protocol, read_evaluand
from stal.evaluation.plots import draw_diagnosis, draw_protocols
from stal.evaluation.report import print_diagnoses, print_origin, print_protocols, print_summary, print_written
from stal.metrics.bootstrap import NUM_DRAWS, SEED
from stal.metrics.diagnosis import Diagnosis, describe_diagnosis, diagnose
from stal.metrics.overlaps import frame_overlaps, tube_overlaps
from stal.metrics.protocol import PROTOCOLS, Protocol
from stal.metrics.summary import mean_over_splits, summarize

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
        num_draws: bootstrap draws for the confidence intervals; 0 for no intervals.
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
    protocols = list(PROTOCOLS.values()) if protocol == ALL_PROTOCOLS else [named_protocol(protocol)]
    jobs = _jobs(_listed(detections), _listed(tubes), _listed(split), with_truth=ground_truth is not None)
    results: list[dict[str, dict[str, Any]]] = []
    for number, (path, tube_path, of_split) in enumerate(jobs):
        evaluand = read_evaluand(
            path,
            ground_truth=ground_truth,
            tubes=tube_path,
            split=of_split,
            link=link,
            trim=trim,
            drop_invalid=drop_invalid,
        )
        print_origin(evaluand.origin)
        folder = None if plots is None else Path(plots) / (of_split or str(number) if len(jobs) > 1 else "")
        results.append(_score(evaluand, protocols, num_draws, seed, folder))

    by_protocol = {
        p.name: results[0][p.name] if len(jobs) == 1 else mean_over_splits([result[p.name] for result in results])
        for p in protocols
    }
    if len(jobs) > 1:
        for name, summary in by_protocol.items():
            print_summary(summary, f"{name}, mean over {len(jobs)} splits")
    if protocol == ALL_PROTOCOLS:
        print_protocols(by_protocol)
        if plots is not None:
            draw_protocols(by_protocol, Path(plots))
    written = {"protocols": by_protocol} if protocol == ALL_PROTOCOLS else by_protocol[protocol]
    if out is not None:
        out = Path(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(written, indent=2, allow_nan=False) + "\n")
    print_written(out, plots)
    return written


def _score(
    evaluand: Evaluand, protocols: Sequence[Protocol], num_draws: int, seed: int, plots: Path | None
) -> dict[str, dict[str, Any]]:
    """Return the numbers of every protocol, by name; of a single one, print them and what is behind them."""
    console = Console(stderr=True)
    shown = track(
        protocols, "scoring", console=console, transient=True, disable=len(protocols) == 1 or not console.is_terminal
    )
    classes = evaluand.annotations.classes
    results = {}
    for protocol in shown:
        summary = summarize(evaluand.tables, classes, protocol, num_draws=num_draws, seed=seed)
        results[protocol.name] = summary | {"origin": evaluand.origin}
    if len(protocols) == 1:
        (protocol,) = protocols
        summary = results[protocol.name]
        diagnoses = _diagnose(evaluand, protocol)
        summary |= {kind: describe_diagnosis(diagnosis, classes) for kind, diagnosis in diagnoses.items()}
        print_summary(summary, evaluand.origin["detections"])
        print_diagnoses({kind: summary[kind] for kind in diagnoses})
        if plots is not None:
            draw_diagnosis(summary, diagnoses, classes, plots)
    return results


def _diagnose(evaluand: Evaluand, protocol: Protocol) -> dict[str, Diagnosis]:
    """Return what is behind the numbers of `frames` and, if the protocol has them, of `tubes`."""
    tables = evaluand.tables
    diagnoses = {"frames": diagnose(tables, frame_overlaps(tables, protocol.frame), protocol.frame)}
    if protocol.video is not None:
        diagnoses["tubes"] = diagnose(tables, tube_overlaps(tables, protocol.video), protocol.video)
    return diagnoses


def _listed(value: str | Path | Sequence[str | Path] | None) -> list[Any]:
    """Return one or several as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str | Path) else list(value)


def _jobs(
    detections: list[Any], tubes: list[Any], splits: list[Any], with_truth: bool
) -> list[tuple[Any, Any | None, str | None]]:
    """Return the detections, the tubes and the split of each file."""
    if not detections:
        raise ConfigError("there is no file of detections; name at least one")
    if not splits and len(detections) > 1 and with_truth:
        splits = [str(number + 1) for number in range(len(detections))]
    for kind, given in (("tubes", tubes), ("splits", splits)):
        if given and len(given) != len(detections):
            raise ConfigError(f"{len(detections)} files of detections, but {len(given)} {kind}: give one for each")
    none = [None] * len(detections)
    return list(zip(detections, tubes or none, splits or none, strict=True))
