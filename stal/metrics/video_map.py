"""video-mAP: how well whole tubes are found, in space and time."""

from collections.abc import Mapping, Sequence

from stal.errors import ConfigError
from stal.metrics.average_precision import MeanAveragePrecision, mean_average_precision
from stal.metrics.overlaps import tube_overlaps
from stal.metrics.protocol import VOC, Protocol
from stal.metrics.tables import make_tables
from stal.structures import Tube, Video


def video_map(
    videos: Sequence[Video],
    tubes: Mapping[str, Sequence[Tube]],
    num_classes: int,
    iou_threshold: float = 0.5,
    *,
    protocol: Protocol = VOC,
    half_open: bool = True,
) -> MeanAveragePrecision:
    """Compute video-mAP.

    Args:
        videos: the ground truth.
        tubes: detected tubes, each with its score, by video key; a video that is missing has none.
        num_classes: number of classes of the data set.
        iou_threshold: spatio-temporal overlap that a hit needs, in (0, 1].
        protocol: the rules.
        half_open: as for `frame_map`.

    Returns:
        The AP of every class and their mean.

    Raises:
        ConfigError: The protocol has no video-mAP.
        StalError: A tube is of an unknown video, class or frame, or has no score.
    """
    if protocol.video is None:
        raise ConfigError(f"protocol {protocol.name} has no video-mAP: its evaluator has none; choose another")
    tables = make_tables(videos, num_classes, tubes=tubes, half_open=half_open)
    return mean_average_precision(
        tube_overlaps(tables, protocol.video, within_classes=True), num_classes, protocol.video, iou_threshold
    )
