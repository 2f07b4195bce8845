"""What a check finds: how bad it is, how often it occurs, where, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""`error`: training or its score would be worthless; `warning`: look at it; `note`: good to know."""

MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Example:
    """One place where something was found.

    Attributes:
        video: key of the video; empty if it is no video.
        value: what is there.
        tube: id of the tube, None if it is not about one.
        frame: 0-based frame as it is annotated, None if it is not about one.
    """

    video: str
    value: str
    tube: int | None = None
    frame: int | None = None


@dataclass(frozen=True)
class Finding:
    """One kind of fault of a data set.

    Attributes:
        level: how bad it is.
        code: short name of the kind, such as `frames-1-based`; docs/checking.md lists them.
        what: what was found, with counts.
        remedy: what to do about it.
        examples: the first places.
    """

    level: Level
    code: str
    what: str
    remedy: str
    examples: tuple[Example, ...] = ()


def errors_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings by their level, those of one level in their order."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))
