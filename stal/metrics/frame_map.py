"""frame-mAP: how well single boxes are found, frame by frame."""

from collections.abc import Mapping, Sequence

from stal.metrics.average_precision import MeanAveragePrecision, mean_average_precision
from stal.metrics.overlaps import frame_overlaps
from stal.metrics.protocol import VOC, Protocol
from stal.metrics.tables import make_tables
from stal.structures import Detections, Video


def frame_map(
    videos: Sequence[Video],
    detections: Mapping[str, Detections],
    num_classes: int,
    iou_threshold: float = 0.5,
    *,
    protocol: Protocol = VOC,
    half_open: bool = True,
) -> MeanAveragePrecision:
    """Compute frame-mAP.

    Args:
        videos: the ground truth.
        detections: scored boxes by video key; a video that is missing has none.
        num_classes: number of classes of the data set.
        iou_threshold: overlap that a hit needs, in (0, 1].
        protocol: the rules.
        half_open: x2 and y2 are where boxes end, as everywhere in stal; if False, coordinates are taken as inclusive
            pixels by protocols that count those, and as they are by the others.

    Returns:
        The AP of every class and their mean.

    Raises:
        StalError: A detection is of an unknown video, class or frame.
    """
    tables = make_tables(videos, num_classes, detections=detections, half_open=half_open)
    return mean_average_precision(
        frame_overlaps(tables, protocol.frame, within_classes=True), num_classes, protocol.frame, iou_threshold
    )
