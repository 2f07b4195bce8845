"""Where the result of a check goes: report.json and index.html in a folder, and a summary on the terminal."""

from pathlib import Path

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from stal.checks.finding import Example, Finding
from stal.checks.page import make_page
from stal.checks.report import CheckReport
from stal.checks.samples import choose_samples, draw_samples
from stal.evaluation.outputs import write_json
from stal.evaluation.report import new_console, print_note

REPORT_FILE, PAGE_FILE = "report.json", "index.html"

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}
_EXAMPLES_SHOWN = 3


def write_report(report: CheckReport, folder: str | Path) -> None:
    """Write `report.json` and `index.html` into a folder, which is made.

    Sample frames are of the videos that were opened.
    """
    folder = Path(folder)
    write_json(folder / REPORT_FILE, report.describe())
    found, of_classes = choose_samples(report)
    page = make_page(report, draw_samples(report, found), draw_samples(report, of_classes))
    (folder / PAGE_FILE).write_text(page, encoding="utf-8", errors="replace")  # file names may be in no encoding


def print_report(report: CheckReport) -> None:
    """Print what was checked and found, errors first."""
    console = new_console()
    table = report.table
    print_note(
        f"{report.source}: {len(table.videos):,} videos, {len(table.tube_videos):,} tubes, {len(table.boxes):,} boxes, "
        f"{len(table.classes):,} classes; {report.describe_opened()}"
    )
    scores = [f"{name} {value:.2f}" for name, value in (report.self_score or {}).items() if value is not None]
    print_note(f"ground truth against itself: {', '.join(scores) or 'not scored'}")
    for finding in report.findings:
        console.print(_finding(finding))
    counts = ", ".join(f"{level}s: {count}" for level, count in report.count_levels().items())
    console.print(Text(counts, style="bold red" if report.has_errors else "bold green"))


def _finding(finding: Finding) -> Group:
    head = Text.assemble((finding.level, _STYLES[finding.level]), " ", (finding.code, "bold"))
    lines = [Text(_printable(finding.what)), Text(f"→ {_printable(finding.remedy)}", style="italic")]
    lines += [Text(_printable(_describe(example)), style="dim") for example in finding.examples[:_EXAMPLES_SHOWN]]
    return Group(head, *(Padding(line, (0, 0, 0, 2), expand=False) for line in lines))


def _printable(text: str) -> str:
    """Return a text that every terminal takes: names in a file may hold what is in no encoding, or commands to it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _describe(example: Example) -> str:
    """Return an example on one line."""
    where = [example.video] if example.video else []
    where += [f"tube {example.tube}"] if example.tube is not None else []
    where += [f"frame {example.frame}"] if example.frame is not None else []
    return f"{', '.join(where)}: {example.value}" if where else example.value
