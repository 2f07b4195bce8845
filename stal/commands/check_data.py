"""Check a data set by the name of its config or annotation file: what tools/check_data.py does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from stal.checks.annotation_table import table_of
from stal.checks.check import DataToCheck, check_data, data_of_annotations, data_of_json
from stal.checks.finding import Finding
from stal.checks.fix import check_target, fix_table, write_fix
from stal.checks.outputs import PAGE_FILE, REPORT_FILE, print_report, write_report
from stal.checks.reader_warnings import collect_warnings, note_warnings
from stal.checks.splits import list_splits
from stal.commands.annotated_data import build_data, is_config
from stal.engine.config import load_config
from stal.errors import ConfigError, StalError
from stal.evaluation.outputs import check_targets
from stal.evaluation.report import print_note
from stal.structures import Annotations

_LOADERS = ("train_dataloader", "test_dataloader")
_NUM_CLASSES = "model.detector.num_classes"


def check_data_file(
    path: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    decode: bool = True,
    max_videos: int | None = None,
    num_processes: int = 1,
    fix: str | Path | None = None,
) -> bool:
    """Check a data set, print and write what is found, and return whether it can be trained on.

    Args:
        path: a config, or an annotation file of this project.
        options: settings of the config to change.
        out: folder for the page and the report; None for `work_dirs/check_data/<name>`.
        decode: open the videos.
        max_videos: open so many of them; None for all.
        num_processes: that open videos.
        fix: a file to write the corrected annotations to; it is checked in turn, and decides.

    Raises:
        StalError: the config or the file cannot be found, or an argument cannot be, such as `fix` without all videos.
    """
    out = Path(out or Path("work_dirs") / "check_data" / Path(path).stem)
    check_targets(None, out)
    if fix is not None:
        check_target(path, fix)
        if not decode or max_videos is not None:
            raise ConfigError(
                f"--fix {fix}: lengths and sizes are corrected by what the videos decode to; open all videos, without "
                "--no-decode and --max-videos"
            )
    data = read_data_to_check(path, options)
    how: dict[str, Any] = {"decode": decode, "max_videos": max_videos, "num_processes": num_processes}
    report = check_data(data, **how, show_progress=True)
    print_report(report)
    write_report(report, out)
    print_note(f"page: {out / PAGE_FILE}, report: {out / REPORT_FILE}")
    if fix is None:
        return not report.has_errors
    fixed = fix_table(report)
    if not fixed.changes:
        print_note(f"--fix {fix}: there is nothing that can be corrected safely, so nothing is written")
        return not report.has_errors
    write_fix(fixed, path, fix)
    print_note(f"\ncorrected: {fix}")
    for change in fixed.changes:
        print_note(f"  {change}")
    corrected = check_data(data_of_json(fix), **how, show_progress=True)
    print_report(corrected)
    return not corrected.has_errors


def read_data_to_check(path: str | Path, options: Mapping[str, Any] | None = None) -> DataToCheck:
    """Read a data set as far as it can be; what the reader of a config refuses is left for the check to report.

    Raises:
        StalError: as of `is_config`, or the config itself cannot be read.
    """
    if not is_config(path, options):
        return data_of_json(path)
    config = load_config(path, options)  # what is wrong with the config itself is no finding about the data
    with collect_warnings() as warnings:
        try:
            annotations = build_data(config, path)
        except StalError as error:
            return DataToCheck(str(path), refusal=str(error), findings=tuple(note_warnings(warnings)))
    return data_of_annotations(annotations, str(path), [*check_use(config, annotations), *note_warnings(warnings)])


def check_use(config: Config, annotations: Annotations) -> list[Finding]:
    """Return what of a config does not fit its data, so that training or testing would not start."""
    findings = []
    table = table_of(annotations)
    named = [(f"{loader}.dataset.split", _value_at(config, f"{loader}.dataset.split")) for loader in _LOADERS]
    missing = [f"{key} is {split!r}" for key, split in named if split is not None and split not in table.splits]
    if missing:
        what = f"{', and '.join(missing)}, of which there is no video: the splits are {list_splits(table)}"
        remedy = f"name one that there is (--cfg-options {_LOADERS[0]}.dataset.split=...), or correct the annotation"
        findings.append(Finding("error", "split-missing", what, remedy))
    num_classes = _value_at(config, _NUM_CLASSES)
    if num_classes is not None and num_classes != len(annotations.classes):
        what = f"{_NUM_CLASSES} is {num_classes!r}, but the data have {len(annotations.classes)} classes"
        remedy = f"set it (--cfg-options {_NUM_CLASSES}={len(annotations.classes)})"
        findings.append(Finding("error", "num-classes", what, remedy))
    return findings


def _value_at(config: Config, key: str) -> Any:
    """Return the value at a dotted key, None if there is none."""
    node: Any = config.to_dict()
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node
