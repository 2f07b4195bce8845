"""Text files of annotations, with errors that name them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from stal.errors import AnnotationError, DataNotFoundError


@contextmanager
def open_text(path: str | Path, *, missing: str = "check the path", newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file for reading.

    Args:
        path: the file, UTF-8, with a byte order mark or without.
        missing: what the error advises if there is no such file.
        newline: as for `open`; all line ends are alike if None.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it cannot be read, or is not text.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such file; {missing}")
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            yield file
    except OSError as error:
        raise AnnotationError(f"{path}: the file cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not a text in UTF-8: {error}") from error


def load_text(path: str | Path, *, missing: str = "check the path") -> str:
    """Return the text of a file, with all line ends alike.

    Args:
        path: the file, UTF-8, with a byte order mark or without.
        missing: what the error advises if there is no such file.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it cannot be read, or is not text.
    """
    with open_text(path, missing=missing) as file:
        return file.read()


def parse_numbers(texts: Sequence[str]) -> list[float]:
    """Return the numbers that texts are.

    Raises:
        ValueError: one is none; so is `1_0`, which Python takes for ten.
    """
    if "_" in "".join(texts):
        raise ValueError(f"{' '.join(texts)!r:.99} are not all numbers")
    return [float(text) for text in texts]
