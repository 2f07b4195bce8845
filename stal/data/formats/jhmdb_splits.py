"""The official lists of JHMDB and HMDB51 that divide the videos of every class into train and test.

Source: https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database (Kuehne et al., ICCV 2011), and
http://jhmdb.is.tue.mpg.de for those of JHMDB. There is a file for each class and fold, `brush_hair_test_split1.txt`,
whose lines are the name of a video, a space, and what it is used for::

    April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1

1 is train, 2 is test, and 0 is neither.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from stal.data.formats.text_file import load_text
from stal.errors import AnnotationError, ConfigError, DataNotFoundError

_USES = {"0": None, "1": "train", "2": "test"}

_logger = logging.getLogger(__name__)


def read_jhmdb_splits(folder: str | Path, *, fold: int = 1, classes: Sequence[str]) -> dict[str, str]:
    """Read which videos are for training and which for testing.

    Args:
        folder: holds `<class>_test_split<fold>.txt` of every class; other files in it are ignored.
        fold: number of the division, from 1 to 3.
        classes: whose lists are read.

    Returns:
        `train` or `test` by key, `<class>/<video>` without the suffix, in the order of the classes and of their lists.
        Videos that are neither are left out, and counted in the log.

    Raises:
        DataNotFoundError: there is no such folder, or the lists of some classes are not in it.
        AnnotationError: a list is broken, or none names a video.
        ConfigError: there is no such fold.
    """
    folder = Path(folder)
    if fold not in (1, 2, 3):
        raise ConfigError(f"{folder}: has no fold {fold}; it has 1, 2 and 3")
    lists = {name: folder / f"{name}_test_split{fold}.txt" for name in classes}
    missing = [path.name for path in lists.values() if not path.is_file()]
    if missing:
        raise DataNotFoundError(
            f"{folder}: {len(missing)} of the {len(lists)} lists of fold {fold} are missing, the first is "
            f"{missing[0]}; data/README.md says where to get them"
        )
    uses = {key: use for name, path in lists.items() for key, use in _read_list(path, name)}
    splits = {key: use for key, use in uses.items() if use is not None}
    if not splits:
        raise AnnotationError(f"{folder}: the {len(lists)} lists of fold {fold} name no video; get them again")
    if len(splits) < len(uses):
        _logger.info("%s: %d of %d videos are not used in fold %d", folder, len(uses) - len(splits), len(uses), fold)
    return splits


def _read_list(path: Path, class_name: str) -> list[tuple[str, str | None]]:
    """Return the key of every video of a list and what it is used for."""
    uses: dict[str, str | None] = {}
    for number, line in enumerate(load_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        name, _, use = line.strip().rpartition(" ")
        name = name.strip().removesuffix(".avi")
        if use not in _USES or name in ("", ".", "..") or "/" in name or "\\" in name:
            raise AnnotationError(
                f"{path}, line {number}: {line!r:.99} is not the name of a video and 0, 1 or 2, such as `name.avi 1`"
            )
        key = f"{class_name}/{name}"
        if key in uses:
            raise AnnotationError(f"{path}, line {number}: {name} is listed twice; take the list from its source")
        uses[key] = _USES[use]
    return list(uses.items())
