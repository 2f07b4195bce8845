"""Online linking: grow paths frame by frame (Singh et al., ICCV 2017)."""

from dataclasses import dataclass

from stal.linking.parameters import require_count, require_fraction
from stal.linking.paths import PathRows, grow_paths, overlapping_boxes
from stal.structures import Detections


@dataclass(frozen=True)
class OnlineLinking:
    """Grow paths frame by frame: each takes the surest free box that overlaps its last one.

    Paths are served by the mean of their best `max_gap` + 1 scores (Singh et al., ICCV 2017, `incremental_linking`).

    Attributes:
        iou_threshold: overlap that a box needs with the last box of a path to follow it. Singh et al.: 0.1.
        max_gap: a path bridges so many frames in a row on which it finds no box, and ends at more. Singh et al.: 3.
    """

    iou_threshold: float = 0.1
    max_gap: int = 3

    def __post_init__(self) -> None:
        require_fraction("iou_threshold", self.iou_threshold)
        require_count("max_gap", self.max_gap, minimum=0)

    def __call__(self, boxes: Detections) -> list[PathRows]:
        """Return the paths through `boxes`, which `Candidates` has sorted."""
        earlier, later, iou = overlapping_boxes(boxes, self.max_gap, self.iou_threshold)
        return grow_paths(
            boxes.labels, boxes.frames, boxes.scores, earlier, later, iou, num_rank_scores=self.max_gap + 1
        )
