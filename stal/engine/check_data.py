"""Check a data set by the name of its config or annotation file: what tools/check_data.py does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stal.checks.check import DataToCheck, check_data, data_of_annotations, data_of_json
from stal.checks.fix import check_target, fix_table, write_fix
from stal.checks.outputs import PAGE_FILE, REPORT_FILE, print_report, write_report
from stal.engine.annotated_data import build_data, is_config
from stal.engine.config import load_config
from stal.errors import StalError
from stal.evaluation.outputs import check_targets
from stal.evaluation.report import print_note


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
        StalError: the config or the file cannot be found, or an argument cannot be.
    """
    out = Path(out or Path("work_dirs") / "check_data" / Path(path).stem)
    check_targets(None, out)
    if fix is not None:
        check_target(path, fix)
    data = read_data_to_check(path, options)
    how: dict[str, Any] = {"decode": decode, "max_videos": max_videos, "num_processes": num_processes}
    report = check_data(data, **how, show_progress=True)
    print_report(report)
    write_report(report, out)
    print_note(f"page: {out / PAGE_FILE}, report: {out / REPORT_FILE}")
    if fix is None:
        return not report.has_errors
    fixed = fix_table(report.table, report.findings)
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
    load_config(path, options)  # what is wrong with the config is no finding about the data
    try:
        return data_of_annotations(build_data(path, options), str(path))
    except StalError as error:
        return DataToCheck(str(path), refusal=str(error))
