"""A value of a YAML file that knows its place, so that every error can name it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from stal.data.formats.short_text import shorten
from stal.errors import ConfigError


def load_yaml(path: str | Path) -> "YamlNode":
    """Load a YAML file and return its root.

    A key that is there twice is an error, and `1e-4` is a number: PyYAML itself loses the first and makes a text of the
    second.

    Raises:
        ConfigError: there is no such file, it cannot be read, or it is not YAML.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; the experiments of the project stand in experiments/")
    try:
        return YamlNode(path, "", yaml.load(path.read_text(encoding="utf-8"), _Loader))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a YAML file: {error}") from error


@dataclass(frozen=True)
class YamlNode:
    """A value, and where it stands.

    Attributes:
        file: the YAML file.
        place: path to the value in the document, such as `grids[0].seeds`; empty for the whole.
        value: the value.
    """

    file: Path
    place: str
    value: Any

    def fail(self, reason: str) -> NoReturn:
        """Raise a `ConfigError` that names file, place and reason."""
        raise ConfigError(f"{self.file}: {self.place or 'the document'}: {reason}")

    def require_mapping(self, keys: tuple[str, ...] | None = None) -> None:
        """Fail unless the value is a mapping with texts as keys, and has no keys but `keys` if those are given."""
        if not isinstance(self.value, dict):
            self.fail(f"expected keys with values, got {shorten(self.value)}")
        unknown = [key for key in self.value if not isinstance(key, str) or (keys is not None and key not in keys)]
        if unknown:
            allowed = f"the keys are {', '.join(keys)}" if keys is not None else "a key is a text: put it into quotes"
            self.fail(f"unknown key {shorten(unknown[0])}; {allowed}")

    def child(self, key: str, default: Any = ...) -> "YamlNode":
        """Return the value at a key of this mapping; one that is missing is a failure, unless there is a default."""
        if key not in self.value and default is ...:
            self.fail(f"the key {key!r} is missing")
        return YamlNode(self.file, f"{self.place}.{key}".lstrip("."), self.value.get(key, default))

    def items(self) -> Iterator["YamlNode"]:
        """Return the items of this list."""
        if not isinstance(self.value, list):
            self.fail(f"expected a list, got {shorten(self.value)}")
        return (YamlNode(self.file, f"{self.place}[{i}]", item) for i, item in enumerate(self.value))

    def entries(self) -> Iterator[tuple[str, "YamlNode"]]:
        """Return the keys and values of this mapping."""
        self.require_mapping()
        return ((key, self.child(key)) for key in self.value)

    def text(self) -> str:
        """Return the value if it is a text with something in it."""
        if not isinstance(self.value, str) or not self.value.strip():
            self.fail(f"expected a text, got {shorten(self.value)}")
        return self.value.strip()

    def integer(self) -> int:
        """Return the value if it is an integer that is not negative."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < 0:
            self.fail(f"expected an integer of 0 or more, got {shorten(self.value)}")
        return self.value


class _Loader(yaml.SafeLoader):
    """PyYAML's loader of plain values, without its two traps."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Return a mapping as it is written; of two equal keys the last would be kept and the other lost."""
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, key in enumerate(keys):
            if any(key.value == earlier.value for earlier in keys[:number]):
                raise yaml.composer.ComposerError(
                    problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                )
        return node


_Loader.add_implicit_resolver(  # YAML 1.2's floats; those of YAML 1.1, which PyYAML knows, need a dot and a sign
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
