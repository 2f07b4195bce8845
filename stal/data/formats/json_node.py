"""A value of a JSON document that knows its place, so that every error can name it."""

import gc
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from stal.data.formats.short_text import shorten
from stal.errors import AnnotationError, DataNotFoundError, ShapeError

_Built = TypeVar("_Built")

FLOAT32_MAX = float(np.finfo(np.float32).max)
_MAX_INTEGER = 2**53  # beyond it, JSON's numbers are not exact in most languages


def load_json(path: str | Path, *, missing: str = "check the path") -> "JsonNode":
    """Load a JSON file and return its root.

    Args:
        path: the file, UTF-8.
        missing: what the error advises if there is no such file.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: the file cannot be read, or is not JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such annotation file; {missing}")
    try:
        with _paused_collection():
            return JsonNode(path, "", json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique_keys))
    except OSError as error:
        raise AnnotationError(f"{path}: the file cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not a JSON file: {error}") from error


@contextmanager
def _paused_collection() -> Iterator[None]:
    """Keep Python from looking for cycles among all that is parsed, over and over: it takes longer than parsing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; the parser itself would keep the last of two equal keys and lose the other."""
    value = dict(pairs)
    if len(value) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key!r} is there twice in one object")
    return value


@dataclass(frozen=True)
class JsonNode:
    """A value, and where it stands.

    Attributes:
        file: the JSON file.
        place: path to the value in the document, such as `videos[3].tubes[0].boxes`; empty for the whole.
        value: the value.
    """

    file: Path
    place: str
    value: Any

    def fail(self, reason: str) -> NoReturn:
        """Raise an `AnnotationError` that names file, place and reason."""
        raise AnnotationError(self.describe(reason))

    def describe(self, reason: str) -> str:
        """Return `reason` behind the file and the place."""
        return f"{self.file}: {self.place or 'the document'}: {reason}"

    def require_object(self, keys: tuple[str, ...] | None = None) -> None:
        """Fail unless the value is an object, and has no keys but `keys` if those are given."""
        if not isinstance(self.value, dict):
            self.fail(f"expected an object, got {shorten(self.value)}")
        unknown = [key for key in self.value if keys is not None and key not in keys]
        if keys is not None and unknown:
            self.fail(f"unknown keys {shorten(unknown)}; the keys are {', '.join(keys)}")

    def build(self, kind: type[_Built], **fields: Any) -> _Built:
        """Construct a structure of stal; what it refuses, this node is to blame for."""
        try:
            return kind(**fields)
        except (ShapeError, AnnotationError) as error:
            raise AnnotationError(self.describe(str(error))) from error

    def child(self, key: str, optional: bool = False) -> "JsonNode":
        """Return the value at a key of this object; one that is missing is a failure, or null if it is optional."""
        self.require_object()
        if key not in self.value and not optional:
            self.fail(f"the key {key!r} is missing")
        return JsonNode(self.file, f"{self.place}.{key}".lstrip("."), self.value.get(key))

    def items(self) -> Iterator["JsonNode"]:
        """Return the items of this list."""
        if not isinstance(self.value, list):
            self.fail(f"expected a list, got {shorten(self.value)}")
        return (JsonNode(self.file, f"{self.place}[{i}]", item) for i, item in enumerate(self.value))

    def entries(self) -> Iterator[tuple[str, "JsonNode"]]:
        """Return the keys and values of this object."""
        self.require_object()
        return ((key, JsonNode(self.file, f"{self.place}[{key!r}]", item)) for key, item in self.value.items())

    def text(self) -> str:
        """Return the value if it is a text."""
        if not isinstance(self.value, str):
            self.fail(f"expected a text, got {shorten(self.value)}")
        return self.value

    def integer(self) -> int:
        """Return the value if it is an integer."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or abs(self.value) > _MAX_INTEGER:
            self.fail(f"expected an integer, got {shorten(self.value)}")
        return self.value

    def number(self) -> float:
        """Return the value if it is a finite number."""
        if not is_number(self.value):
            self.fail(f"expected a finite number, got {shorten(self.value)}")
        return float(self.value)


def is_number(value: Any) -> bool:
    """Whether a value of a JSON document is a number that float32 holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= FLOAT32_MAX
