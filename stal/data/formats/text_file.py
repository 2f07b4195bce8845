"""Text files of annotations, with errors that name them."""

from pathlib import Path

from stal.errors import AnnotationError, DataNotFoundError


def load_text(path: str | Path, *, missing: str = "check the path") -> str:
    """Return the text of a file, with all line ends alike.

    Args:
        path: the file, UTF-8, with a byte order mark or without.
        missing: what the error advises if there is no such file.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it cannot be read, or is not text.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such file; {missing}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"{path}: the file cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not a text in UTF-8: {error}") from error
