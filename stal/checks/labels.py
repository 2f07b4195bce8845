"""Whether tubes are of the class that they say: unknown names, labels that are shifted by one, classes never seen."""

import re

import numpy as np
from jaxtyping import Bool, Int64

from stal.checks.annotation_table import UNKNOWN_LABEL, AnnotationTable
from stal.checks.counted import found_tubes, list_names
from stal.checks.finding import Finding

_MOST = 0.5  # a share from which on the labels, and not some videos, are at fault
_NEARLY_ALL = 0.95
_NAMELESS = -2
_NUMBER = re.compile(r"-?\d{1,9}")


def check_labels(table: AnnotationTable) -> list[Finding]:
    """Return what is wrong with the classes of tubes."""
    if not table.classes:
        return [Finding("error", "no-classes", "the list of classes is empty", "list the names of the classes")]
    findings = [*_repeated_names(table), *_unknown_names(table), *_against_names(table)]
    if any(finding.code == "labels-1-based" for finding in findings):
        return findings  # which leaves the first class without a tube, too
    return [*findings, *_unused_classes(table)]


def _repeated_names(table: AnnotationTable) -> list[Finding]:
    repeated = sorted({name for name in table.classes if table.classes.count(name) > 1})
    if not repeated:
        return []
    what = f"names that are in the list of classes more than once: {list_names(repeated)}"
    return [Finding("error", "classes-repeated", what, "list every class once: its position there is its label")]


def _unknown_names(table: AnnotationTable) -> list[Finding]:
    """Return tubes whose class is none of the list; if all of them are numbers, those may start at 1."""
    unknown = np.flatnonzero(table.tube_labels == UNKNOWN_LABEL)
    names = sorted({table.label_names[g] for g in unknown})
    if not all(_NUMBER.fullmatch(name) for name in names):
        return found_tubes(
            table,
            unknown,
            "error",
            "labels-unknown",
            "of a class that is not in the list",
            "add the names to `classes`, or spell them as they are there",
            more=f" ({list_names(names)}); the list has {list_names(list(table.classes))}",
        )
    numbers = [int(name) for name in names] or [0]
    is_1_based = min(numbers) >= 1 and max(numbers) == len(table.classes)
    return found_tubes(
        table,
        unknown,
        "error",
        "labels-1-based" if is_1_based else "labels-numbered",
        "with a number for a class" + (", and the numbers start at 1" if is_1_based else ""),
        "write the names of the classes" + ("; label 1 is the first name of the list" if is_1_based else ""),
        more=f", from {min(numbers)} to {max(numbers)}; the list has {len(table.classes)} classes",
    )


def _against_names(table: AnnotationTable) -> list[Finding]:
    """Compare the classes of tubes with those that the names of their videos have."""
    named = class_of_names(table)[table.tube_videos]
    known = (named != _NAMELESS) & (table.tube_labels != UNKNOWN_LABEL)
    wrong = np.flatnonzero(known & (named != table.tube_labels))
    if not len(wrong):
        return []

    def value_of(tube: int) -> str:
        return f"labelled {table.label_names[tube]}, the video is named {table.classes[named[tube]]}"

    is_shifted = table.tube_labels[wrong] == named[wrong] + 1
    if is_shifted.sum() >= _NEARLY_ALL * known.sum():
        return found_tubes(
            table,
            wrong,
            "error",
            "labels-1-based",
            "labelled with the class after the one that their video is named for, as labels are that start at 1",
            "subtract 1 from the labels where they are read",
            value_of=value_of,
        )
    return found_tubes(
        table,
        wrong,
        "error" if len(wrong) > _MOST * known.sum() else "warning",
        "labels-disagree",
        "labelled with another class than their video is named for",
        "compare the order of `classes` with that of the annotation's labels; correct single tubes by hand",
        value_of=value_of,
    )


def class_of_names(table: AnnotationTable) -> Int64[np.ndarray, " V"]:
    """Return the class that each video is named for, by a folder or as in `v_Biking_g01_c01`; else `_NAMELESS`."""
    labels = {_plain(name): table.classes.index(name) for name in table.classes}
    found = np.full(len(table.videos), _NAMELESS, np.int64)
    for v, video in enumerate(table.videos):
        *folders, name = video.key.split("/")
        match = re.match(r"v_(.+)_g\d+_c\d+", name)
        for part in (*folders, *([match[1]] if match else [])):
            found[v] = labels.get(_plain(part), found[v])
    return found


def _plain(name: str) -> str:
    """Return a name in lower case, without what is written differently in names of files and of classes."""
    return re.sub(r"[\W_]", "", name).casefold()


def _unused_classes(table: AnnotationTable) -> list[Finding]:
    """Return the classes that have no tube, none to train on, or none to test on."""
    counts = count_tubes(table)
    is_train = np.array([split == "train" for split in table.splits], bool)
    trained, tested = (counts[rows].sum(axis=0) > 0 for rows in (is_train, ~is_train))
    if not (trained | tested).any():
        return []  # without any tube, that is a finding of its own
    findings = _unused(table, ~trained & ~tested, "classes-unused", "without a tube")
    if is_train.any() and not is_train.all():
        findings += _unused(table, ~trained & tested, "classes-untrained", "without a tube to train on")
        findings += _unused(table, trained & ~tested, "classes-untested", "without a tube to test on")
    return findings


def _unused(table: AnnotationTable, unused: Bool[np.ndarray, " K"], code: str, what: str) -> list[Finding]:
    names = [name for name, is_unused in zip(table.classes, unused.tolist(), strict=True) if is_unused]
    if not names:
        return []
    hint = "; or do the labels start at 1?" if unused[0] and not unused[1:].any() else ""
    text = f"{len(names)} of {len(table.classes)} classes: {what} ({list_names(names)})"
    return [Finding("warning", code, text, f"add such videos, or take the classes off the list{hint}")]


def count_tubes(table: AnnotationTable) -> Int64[np.ndarray, "S K"]:
    """Return the number of tubes of each split (in the order of `splits`) and class."""
    counts = np.zeros((len(table.splits), len(table.classes)), np.int64)
    known = table.tube_labels != UNKNOWN_LABEL
    np.add.at(counts, (table.split_of_tubes()[known], table.tube_labels[known]), 1)
    return counts
