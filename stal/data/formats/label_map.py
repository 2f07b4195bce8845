"""Label maps as AVA has them: a text file that gives action ids their names.

Layout, as in `ava_action_list_v2.2_for_activitynet_2019.pbtxt`; others have `label` and `label_id`::

    item {
      name: "bend/bow (at the waist)"
      id: 1
    }

The ids need not be consecutive: 60 of AVA's 80 are evaluated. Classes are numbered from 0 in the order of the ids.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from stal.data.formats.text_file import load_text
from stal.data.formats.whole_file import open_whole
from stal.errors import AnnotationError

_ITEM = re.compile(r'\s*(?:item|label)\s*:?\s*\{((?:[^{}"]|"(?:[^"\\]|\\.)*")*)\}')
_NAME = re.compile(r'\bname:\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ID = re.compile(r"\b(?:label_)?id:\s*(\d{1,9})\b")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_label_map(path: str | Path) -> dict[int, str]:
    """Return the names of the classes by action id, in the order of the ids.

    Args:
        path: the label map, a text file in the layout above.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is of another layout, or an id or a name is there twice.
    """
    text = load_text(path, missing="the label map comes with the annotations")
    names: dict[int, str] = {}
    end = 0
    while item := _ITEM.match(text, end):
        end = item.end()
        name, action = _NAME.search(item[1]), _ID.search(_NAME.sub("", item[1]))
        if name is None or action is None:
            raise AnnotationError(f"{path}: an item has no name or no id: {item[0].strip()!r:.99}")
        if int(action[1]) in names:
            raise AnnotationError(f"{path}: the id {action[1]} is there twice")
        names[int(action[1])] = _ESCAPED.sub(r"\1", name[1])
    if text[end:].strip() or not names:
        raise AnnotationError(
            f'{path}: not a label map; expected items `item {{ name: "..." id: 1 }}`, got {text[end:].strip()!r:.60}'
        )
    if len(set(names.values())) < len(names):
        raise AnnotationError(f"{path}: the names {list(names.values())!r:.200} are not all different")
    return dict(sorted(names.items()))


def write_label_map(classes: Sequence[str], path: str | Path) -> None:
    """Write the label map of classes that have the ids 1, 2, 3, ...

    Args:
        classes: names, in the order of the labels.
        path: the file.

    Raises:
        AnnotationError: a name has characters that are not printable.
        ConfigError: the file cannot be written.
    """
    unprintable = [name for name in classes if not name.isprintable()]
    if unprintable:
        raise AnnotationError(
            f"{path}: the name {unprintable[0]!r} has characters that are not printable; rename the class"
        )
    escaped = [re.sub(r'(["\\])', r"\\\1", name) for name in classes]
    items = (f'item {{\n  name: "{name}"\n  id: {action}\n}}\n' for action, name in enumerate(escaped, 1))
    with open_whole(path) as file:
        file.write("".join(items).encode())
