"""The lists that divide the videos of UCF101 into train and test.

Source: Soomro et al., UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild, CRCV-TR-12-01, 2012,
https://www.crcv.ucf.edu/data/UCF101.php. The folder `ucfTrainTestlist` has two lists for each of three folds, with DOS
line ends, of the videos of all 101 classes, and the numbers of the classes::

    trainlist02.txt     ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1
    testlist02.txt      ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi
    classInd.txt        1 ApplyEyeMakeup
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from stal.data.formats.text_file import load_text
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations

FOLDS = (1, 2, 3)
CLASS_INDEX = "classInd.txt"

_logger = logging.getLogger(__name__)


def read_ucf_splits(folder: str | Path, *, fold: int) -> dict[str, str]:
    """Read the official lists of one fold.

    Args:
        folder: `ucfTrainTestlist`, as UCF101 has it.
        fold: 1, 2 or 3.

    Returns:
        `train` or `test` by key, such as `Biking/v_Biking_g01_c01`, for the videos of all classes.

    Raises:
        DataNotFoundError: a list is missing.
        AnnotationError: a list is broken, a video is in both, or a number is not that of its class.
        ConfigError: there is no such fold.
    """
    folder = Path(folder)
    check_fold(fold)
    paths = {split: folder / f"{split}list{fold:02d}.txt" for split in ("train", "test")}
    missing = [str(path) for path in (*paths.values(), folder / CLASS_INDEX) if not path.is_file()]
    if missing:
        raise DataNotFoundError(
            f"the official lists of UCF101 are not here: missing are {', '.join(missing)}; "
            "data/README.md says where to get them"
        )
    numbers = read_class_index(folder / CLASS_INDEX)
    lists = {split: read_split_list(path) for split, path in paths.items()}
    for split, listed in lists.items():
        for key, number in listed.items():
            expected = numbers.get(key.split("/")[0])
            if expected is None or number not in (None, expected):
                raise AnnotationError(
                    f"{paths[split]}: {key} has the class number {number}, but {CLASS_INDEX} beside it has {expected}; "
                    "take both from UCF101"
                )
    both = sorted(lists["train"].keys() & lists["test"].keys())
    if both:
        raise AnnotationError(
            f"{paths['train']}: {len(both)} videos are in {paths['test'].name} too, the first is {both[0]}; take both "
            "from UCF101"
        )
    return {key: split for split, listed in lists.items() for key in listed}


def check_fold(fold: int) -> None:
    """Raise a `ConfigError` unless UCF101 has this fold."""
    if fold not in FOLDS:
        raise ConfigError(f"UCF101 has no fold {fold!r}; it has {', '.join(map(str, FOLDS))}")


def read_split_list(path: str | Path) -> dict[str, int | None]:
    """Read a list of videos, one a line, perhaps with the suffix `.avi`, and perhaps with the number of the class.

    Args:
        path: the list, with any line ends.

    Returns:
        The number of the class, 1-based, or None, by the key of the video.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is not such a list, or has a video twice.
    """
    listed: dict[str, int | None] = {}
    for number, line in _lines(Path(path)):
        name, *class_number = line.split()
        key = name.removesuffix(".avi")
        if len(class_number) > 1 or not all(map(_is_number, class_number)) or not all(key.partition("/")[::2]):
            raise AnnotationError(
                f"{path}, line {number}: {line!r:.99} is not a video such as Biking/v_Biking_g01_c01.avi, alone or "
                "with the number of its class"
            )
        if key in listed:
            raise AnnotationError(f"{path}, line {number}: {key} is listed twice; take the list from its source")
        listed[key] = int(class_number[0]) if class_number else None
    return listed


def read_class_index(path: str | Path) -> dict[str, int]:
    """Read `classInd.txt`: the numbers of the classes, 1-based, by their names.

    Args:
        path: the file, with lines `<number> <name>` and any line ends.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is not such a file, or the numbers are not 1, 2, ...
    """
    numbers: dict[str, int] = {}
    for number, line in _lines(Path(path)):
        words = line.split()
        if len(words) != 2 or words[0] != str(len(numbers) + 1) or words[1] in numbers:
            raise AnnotationError(
                f"{path}, line {number}: {line!r:.99} is not `{len(numbers) + 1} <name>` with a name that is new; "
                "take the file from UCF101"
            )
        numbers[words[1]] = int(words[0])
    return numbers


def splits_by_test_list(test_list: Path, keys: Iterable[str], annotation_file: Path) -> dict[str, str]:
    """Return the splits of annotated videos if all that the list of test videos does not name are for training.

    Args:
        test_list: the list.
        keys: the annotated videos.
        annotation_file: has their annotations, for errors.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is broken, or names videos that are not annotated.
    """
    if not test_list.is_file():
        raise DataNotFoundError(
            f"{test_list}: there is no such file, and {annotation_file} does not say which videos are of the test "
            f"split; put the {test_list.name} that comes with the annotations beside them, see data/README.md"
        )
    test_keys = read_split_list(test_list).keys()
    splits = {key: "test" if key in test_keys else "train" for key in keys}
    unknown = sorted(test_keys - splits.keys())
    if unknown:
        raise AnnotationError(
            f"{test_list}: {len(unknown)} of {len(test_keys)} videos are not annotated in {annotation_file}, the first "
            f"is {unknown[0]}; take the list that comes with the annotations, not that of all 101 classes"
        )
    return splits


def with_splits(annotations: Annotations, splits: Mapping[str, str], source: Path) -> Annotations:
    """Return the annotations with every video in its split.

    Listed videos that are not annotated are counted and logged: 13 of the 3,207 that UCF101 has of the 24 classes.

    Args:
        annotations: the videos; those that are listed but of none of their classes are ignored.
        splits: of listed videos, by key.
        source: the list, or the folder of lists, for errors.

    Raises:
        AnnotationError: an annotated video is not listed.
    """
    unlisted = [video.key for video in annotations.videos if video.key not in splits]
    if unlisted:
        raise AnnotationError(
            f"{source}: {len(unlisted)} of {len(annotations.videos)} annotated videos are neither in the train nor in "
            f"the test list, the first is {unlisted[0]}; take the lists from UCF101"
        )
    wanted = {key for key in splits if key.split("/")[0] in annotations.classes}
    num_missing = len(wanted - {video.key for video in annotations.videos})
    if num_missing:
        _logger.info("%s: %d of %d videos of these classes are not annotated", source, num_missing, len(wanted))
    return replace(annotations, videos=tuple(replace(video, split=splits[video.key]) for video in annotations.videos))


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not blank, with their numbers."""
    text = load_text(path, missing="data/README.md says where to get it")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise AnnotationError(f"{path}: the file has no lines; get it again")
    return lines


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 5
