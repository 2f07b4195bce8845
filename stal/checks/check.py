"""Run all checks on a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from stal.checks.annotation_table import AnnotationTable, table_of
from stal.checks.boxes import check_boxes
from stal.checks.files import check_files, choose_evenly, find_resized
from stal.checks.finding import Finding, errors_first
from stal.checks.frames import check_frames
from stal.checks.labels import check_labels
from stal.checks.lenient_json import read_table
from stal.checks.opening import find_video, open_videos
from stal.checks.reader_warnings import collect_warnings, note_warnings
from stal.checks.report import CheckReport
from stal.checks.self_score import check_self_score
from stal.checks.silhouettes import check_silhouettes
from stal.checks.splits import check_splits, check_train_split
from stal.checks.tubes import check_tubes
from stal.data.formats.tubes_json import read_tubes_json
from stal.errors import ConfigError, DataNotFoundError, StalError
from stal.structures import Annotations

_EMPTY = table_of(Annotations((), ()))


@dataclass(frozen=True, eq=False)
class DataToCheck:
    """A data set as far as it can be read.

    Attributes:
        source: the config or file that it is from.
        table: its annotations; empty if nothing of them can be read.
        annotations: the same as structures; None if those refuse them.
        refusal: why.
        findings: what was found already when it was read.
    """

    source: str
    table: AnnotationTable = _EMPTY
    annotations: Annotations | None = None
    refusal: str | None = None
    findings: tuple[Finding, ...] = ()


def data_of_annotations(annotations: Annotations, source: str, findings: Sequence[Finding] = ()) -> DataToCheck:
    """Return what is checked of a data set that was read from `source`, with what was found meanwhile."""
    return DataToCheck(source, table_of(annotations), annotations, findings=tuple(findings))


def data_of_json(path: str | Path) -> DataToCheck:
    """Read an annotation file of this project, also one that training would refuse.

    Raises:
        DataNotFoundError: there is no such file.
    """
    table = _EMPTY
    try:
        table = read_table(path)
        return data_of_annotations(read_tubes_json(path), str(path), check_train_split(table))
    except DataNotFoundError:
        raise
    except StalError as error:
        return DataToCheck(str(path), table, refusal=str(error), findings=tuple(check_train_split(table)))


def check_data(
    data: DataToCheck,
    *,
    decode: bool = True,
    max_videos: int | None = None,
    num_processes: int = 1,
    show_progress: bool = False,
) -> CheckReport:
    """Check a data set.

    Args:
        data: the data set.
        decode: open the videos and the silhouettes; without, only their names are looked at.
        max_videos: open so many of the videos, spread evenly; None for all.
        num_processes: that open videos.
        show_progress: show a progress bar on the terminal.

    Raises:
        ConfigError: an argument cannot be.
    """
    for name, value in (("--max-videos", max_videos), ("--jobs", num_processes)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} {value}: at least 1 (--no-decode opens no video)")
    table = data.table
    records = [find_video(video.path) for video in table.videos]
    there = np.array([record.is_there and record.problem is None for record in records], bool)
    if decode:
        wanted = choose_evenly(np.flatnonzero(there), max_videos or len(there)).tolist()
        paths, lengths = [video.path for video in table.videos], table.num_frames.tolist()
        for number, record in open_videos(
            paths, lengths, wanted, num_processes=num_processes, show_progress=show_progress
        ):
            records[number] = record
    findings = [*data.findings, *_check_annotation(data, find_resized(table, records))]
    scores = None
    if table is not _EMPTY:
        findings += [*check_splits(table, there.tolist()), *check_files(table, records)]
    if data.annotations is not None:
        with collect_warnings() as warnings:
            findings += check_silhouettes(data.annotations) if decode else []
        findings += note_warnings(warnings)
    if data.annotations is not None and len(table.tube_videos):
        scores, below = check_self_score(data.annotations, table)
        findings += below
    return CheckReport(data.source, table, records, errors_first(findings), scores)


def _check_annotation(data: DataToCheck, resized: Bool[np.ndarray, " V"]) -> list[Finding]:
    """Return what is wrong with the annotation itself.

    What its structures refuse is most often counted by one of the checks; if it is not, the refusal is the finding.
    """
    findings: list[Finding] = []
    if data.table is not _EMPTY:
        findings = [
            *check_labels(data.table),
            *check_frames(data.table),
            *check_boxes(data.table, resized),
            *check_tubes(data.table, resized),
        ]
    if data.refusal is not None and not any(finding.level == "error" for finding in findings):
        findings.append(
            Finding("error", "unreadable", data.refusal, "correct this first; what else there is shows only then")
        )
    return findings
