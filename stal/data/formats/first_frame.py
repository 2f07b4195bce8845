"""Whether a format that numbers frames, but does not say from where, counts from 0 or from 1."""

import logging
from collections.abc import Mapping

from stal.errors import AnnotationError

_logger = logging.getLogger(__name__)


def find_first_frame(smallest: Mapping[str, int], owner: str) -> int:
    """Return the number of the first frame of all videos, 0 or 1.

    Args:
        smallest: the smallest number that each video has, by key.
        owner: the annotations, for log and error.

    Raises:
        AnnotationError: no video has a frame 0, and not all have a frame 1, so that it may be either.
    """
    if not smallest or 0 in smallest.values():
        return 0
    key, number = max(smallest.items(), key=lambda item: item[1])
    if number > 1:
        raise AnnotationError(
            f"{owner}: no video has a frame 0, and video {key} starts with {number}, so that the numbers may count "
            "from 0 or from 1; say which (--first-frame)"
        )
    _logger.warning("%s: frames are taken as numbered from 1 on: all videos start with it (--first-frame)", owner)
    return 1
