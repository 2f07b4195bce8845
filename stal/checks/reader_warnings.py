"""What readers warn of while a data set is read, as notes of its check."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stal.checks.finding import MAX_EXAMPLES, Example, Finding

_READERS = logging.getLogger("stal.data")


@contextmanager
def collect_warnings() -> Iterator[list[logging.LogRecord]]:
    """Give a list that warnings of readers go to meanwhile, and so not to the terminal by themselves."""
    handler = _Collector()
    _READERS.addHandler(handler)
    try:
        yield handler.records
    finally:
        _READERS.removeHandler(handler)


def note_warnings(records: Sequence[logging.LogRecord]) -> list[Finding]:
    """Return a note for every kind of warning; those of one kind differ in names and numbers only."""
    kinds: dict[object, list[str]] = {}
    for record in records:
        kinds.setdefault(record.msg, []).append(record.getMessage())
    return [_note(messages) for messages in kinds.values()]


def _note(messages: Sequence[str]) -> Finding:
    remedy = "nothing to do if this is known"
    if len(messages) == 1:
        return Finding("note", "reader-warning", messages[0], remedy)
    what = f"{len(messages):,} warnings of the reader like this one: {messages[0]}"
    examples = tuple(Example("", message) for message in messages[:MAX_EXAMPLES])
    return Finding("note", "reader-warning", what, remedy, examples)


class _Collector(logging.Handler):
    """Keeps warnings; the root of all loggers still gets them where a program has set one up."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self.records.append(record)
