"""Check that predictions belong to the annotated videos before they are scored against them."""

from collections.abc import Iterable, Sequence

from stal.errors import AnnotationError, ShapeError
from stal.structures import Video


def check_videos(videos: Sequence[Video], predicted: Iterable[str], num_classes: int) -> None:
    """Raise unless keys are unique, annotated classes exist and every predicted key is an annotated video.

    Args:
        videos: the ground truth.
        predicted: keys of the videos that have predictions.
        num_classes: number of classes of the data set.
    """
    keys = {video.key for video in videos}
    if len(keys) != len(videos):
        raise AnnotationError(f"{len(videos)} videos have only {len(keys)} different keys; a video counts once")
    for video in videos:
        check_range("annotated class", max((tube.label for tube in video.tubes), default=-1), num_classes, video.key)
    unknown = sorted(set(predicted) - keys)
    if unknown:
        raise AnnotationError(
            f"predictions for {len(unknown)} unknown videos, first {unknown[0]!r}; the {len(keys)} annotated ones "
            f"begin with {sorted(keys)[:2]}: score against the annotations of the split that was tested"
        )


def check_range(what: str, highest: int, size: int, video_key: str) -> None:
    """Raise if `highest`, the largest value found, is not in 0 to `size` - 1."""
    if highest >= size:
        raise ShapeError(
            f"video {video_key}: {what} {highest} is outside 0 to {size - 1}; classes and frames are 0-based"
        )
