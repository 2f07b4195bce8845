"""Compare two files of detections: what tools/compare.py does."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from stal.errors import AnnotationError, ConfigError
from stal.evaluation.inputs import Evaluand, read_evaluand
from stal.evaluation.outputs import check_targets, write_json
from stal.evaluation.report import new_console, print_origin
from stal.metrics.bootstrap import NUM_DRAWS, SEED
from stal.metrics.comparison import ClassDifference, Comparison, compare
from stal.metrics.protocol import Protocol, find_protocol

_BY_CLASS = ("frame_mAP@0.5", "video_mAP@0.5")  # the numbers that are printed class by class
_MAX_CLASSES = 5  # printed of the gains, and of the losses


def compare_files(
    a_path: str | Path,
    b_path: str | Path,
    *,
    ground_truth: str | Path | None = None,
    tubes: Sequence[str | Path] | None = None,
    split: str | None = None,
    protocol: str = "voc",
    link: str | None = None,
    trim: str | None = None,
    drop_invalid: bool = False,
    num_draws: int = NUM_DRAWS,
    seed: int = SEED,
    out: str | Path | None = None,
) -> Comparison:
    """Compare two files of detections of the same videos, print the differences, and write them to a file.

    Args:
        a_path: .npz of detections, and of tubes if there are any.
        b_path: that of the side whose gain is looked for.
        ground_truth: a file of any kind that `read_ground_truth` reads; None if both files hold it, the same one.
        tubes: .npz of the tubes of the first side, and of those of the second; None if the files of detections hold
            them, or both are to be linked.
        split: of the ground truth.
        protocol: name of a protocol.
        link: name of a linker, which makes the tubes of both sides even if the files hold some; None to link, with the
            default linker, if neither has any.
        trim: name of a trimmer that takes the place of the linker's own.
        drop_invalid: drop and count invalid predictions instead of raising.
        num_draws: bootstrap draws for the intervals.
        seed: of the draws.
        out: .json to write all numbers to; None for none.

    Raises:
        StalError: A file cannot be read or is invalid, the ground truth is not the same, or there is no such protocol,
            linker or split.
    """
    check_targets(out)
    rules = find_protocol(protocol)
    if tubes is not None and len(tubes) != 2:
        raise ConfigError(f"{len(tubes)} files of tubes; give those of the first side, then those of the second")
    a, b = (
        read_evaluand(
            path,
            ground_truth=ground_truth,
            tubes=tube_path,
            split=split,
            link=link,
            trim=trim,
            drop_invalid=drop_invalid,
            tubes_needed=rules.video is not None,
        )
        for path, tube_path in zip((a_path, b_path), tubes or (None, None), strict=True)
    )
    _check_same_names(a, b)
    _check_same_convention(a, b, rules)
    if rules.video is not None:
        _check_same_linking(a, b)
    comparison = compare(a.annotations, a.tables, b.tables, rules, num_draws=num_draws, seed=seed)
    origins = {"a": a.origin, "b": b.origin}
    print_comparison(comparison, origins)
    if out is not None:
        write_json(out, {**dataclasses.asdict(comparison), "origin": origins})
    return comparison


def print_comparison(comparison: Comparison, origins: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the headline numbers, then the classes that gain and lose most.

    Args:
        comparison: what to print.
        origins: of `a` and `b`, as of `Evaluand`.
    """
    console = new_console()
    for name, origin in origins.items():
        console.print(f"{name.upper()}", style="bold")
        print_origin(origin)
    protocol = comparison.protocol
    table = _new_table(
        f"{comparison.num_videos:,} videos, protocol {protocol['name']} ({protocol['hash']})",
        ("metric", "A", "B", "B - A", "95 % interval", "p"),
    )
    for name, metric in comparison.metrics.items():
        if metric.difference is not None:
            interval = "-" if metric.interval is None else f"{metric.interval[0]:+.2f} to {metric.interval[1]:+.2f}"
            p = "-" if metric.p is None else f"{metric.p:.3f}"
            table.add_row(name, f"{metric.a:.2f}", f"{metric.b:.2f}", f"{metric.difference:+.2f}", interval, p)
    if comparison.num_draws:
        table.caption = f"{comparison.num_draws:,} draws of the videos, the same for both"
    if table.row_count:
        console.print(table)
    else:
        console.print("nothing to compare: no class has ground truth")
    for name in _BY_CLASS:
        classes = _largest(comparison.per_class[name])
        if classes:
            table = _new_table(f"{name}: the classes that differ most", ("class", "A", "B", "B - A"))
            for of_class in classes:
                numbers = f"{of_class.a:.2f}", f"{of_class.b:.2f}", f"{of_class.difference:+.2f}"
                table.add_row(escape(of_class.label), *numbers)
            console.print(table)


def _largest(classes: Sequence[ClassDifference]) -> list[ClassDifference]:
    """Return the classes with the largest gains, then those with the largest losses, the largest last."""
    gains = [of_class for of_class in classes if of_class.difference > 0]
    losses = [of_class for of_class in classes if of_class.difference < 0]
    return gains[:_MAX_CLASSES] + losses[-_MAX_CLASSES:]


def _new_table(title: str, columns: Sequence[str]) -> Table:
    """Return a table whose columns, but for the first, hold numbers."""
    table = Table(columns[0], title=title, min_width=60)
    for name in columns[1:]:
        table.add_column(name, justify="right")
    return table


def _check_same_convention(a: Evaluand, b: Evaluand, protocol: Protocol) -> None:
    """Raise if the boxes of the two sides are stored in two conventions that the protocol measures differently."""
    rules = [rules for rules in (protocol.frame, protocol.video) if rules is not None]
    if a.tables.half_open != b.tables.half_open and any(of_kind.pixels == "continuous" for of_kind in rules):
        stored = a if b.tables.half_open else b
        raise AnnotationError(
            f"{stored.origin['detections']} has no `format`, so that its coordinates are taken as they are stored, and "
            "the other file has half-open boxes: the same box would have two sizes; write both files alike"
        )


def _check_same_linking(a: Evaluand, b: Evaluand) -> None:
    """Raise if the tubes of one side come from a file and those of the other are linked: that compares linkers."""
    linked = [side for side in (a, b) if side.origin["linked_by"]]
    if len(linked) == 1:
        raise ConfigError(
            f"{linked[0].origin['detections']} has no tubes, and the other file has: comparing linked tubes with given "
            "ones would compare linkers; name a linker for both with --link, or give the tubes of both with --tubes"
        )


def _check_same_names(a: Evaluand, b: Evaluand) -> None:
    """Raise unless both sides have the same classes and the same videos in the same order."""
    a_path, b_path = a.origin["detections"], b.origin["detections"]
    if a.annotations.classes != b.annotations.classes:
        raise AnnotationError(
            f"{a_path} has the classes {', '.join(a.annotations.classes)}, but {b_path} has "
            f"{', '.join(b.annotations.classes)}; score both against one ground truth"
        )
    a_keys, b_keys = ([video.key for video in side.annotations.videos] for side in (a, b))
    alone = sorted(set(a_keys) ^ set(b_keys))
    if alone:
        raise AnnotationError(
            f"{len(alone)} videos are in one of the files alone, first {alone[0]} in "
            f"{a_path if alone[0] in a_keys else b_path}; both must be tested on the same videos"
        )
    if a_keys != b_keys:
        first = next(i for i, (a_key, b_key) in enumerate(zip(a_keys, b_keys, strict=True)) if a_key != b_key)
        raise AnnotationError(
            f"video {first} is {a_keys[first]} in {a_path}, but {b_keys[first]} in {b_path}, and equal scores rank in "
            f"the order of the videos; score both against one ground truth, such as --ground-truth {a_path}"
        )
