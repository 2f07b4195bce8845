"""What a check of a data set gives: the findings, what each video decodes to, and what the ground truth scores."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stal.checks.annotation_table import AnnotationTable
from stal.checks.finding import LEVELS, Finding
from stal.checks.labels import count_tubes
from stal.checks.opening import VideoRecord
from stal.checks.self_score import Scores

FORMAT, VERSION = "stal-data-check", 1


@dataclass(frozen=True, eq=False)
class CheckReport:
    """The result of all checks.

    Attributes:
        source: the config or file that was checked.
        table: its annotations; empty if they cannot be read.
        records: what was seen of each video.
        findings: errors first.
        self_score: what the ground truth scores against itself; None if its structures refuse it.
    """

    source: str
    table: AnnotationTable
    records: Sequence[VideoRecord]
    findings: tuple[Finding, ...]
    self_score: Scores | None

    @property
    def has_errors(self) -> bool:
        """Whether training or its score would be worthless."""
        return any(finding.level == "error" for finding in self.findings)

    @property
    def num_opened(self) -> int:
        """Return how many videos were opened."""
        return sum(record.is_opened for record in self.records)

    def count_levels(self) -> dict[str, int]:
        """Return the number of findings of each level."""
        return {level: sum(finding.level == level for finding in self.findings) for level in LEVELS}

    def describe_opened(self) -> str:
        """Return how many videos were opened, in words."""
        num_there = sum(record.is_there for record in self.records)
        if self.num_opened == 0:
            return "no video was opened"
        if self.num_opened < num_there:
            return f"only {self.num_opened:,} of {num_there:,} videos were opened"
        return f"all {num_there:,} videos were opened"

    def describe(self) -> dict[str, Any]:
        """Return what report.json holds."""
        table, num_tubes = self.table, self.table.num_tubes_of().tolist()
        counts = count_tubes(table).tolist()
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": self.source,
            "num_videos": len(table.videos),
            "num_tubes": len(table.tube_videos),
            "num_boxes": len(table.boxes),
            "num_opened": self.num_opened,
            "num_findings": self.count_levels(),
            "findings": [asdict(finding) for finding in self.findings],
            "self_score": None if self.self_score is None else dict(self.self_score),
            "tubes_per_class": {
                split: dict(zip(table.classes, row, strict=True))
                for split, row in zip(table.splits, counts, strict=True)
            },
            "videos": [
                {
                    "key": video.key,
                    "path": str(video.path),
                    "split": video.split,
                    "num_frames": video.num_frames,
                    "height": video.height,
                    "width": video.width,
                    "num_tubes": num,
                    "file": asdict(record),
                }
                for video, record, num in zip(table.videos, self.records, num_tubes, strict=True)
            ],
        }
