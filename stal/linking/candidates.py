"""Which boxes of a frame are worth linking: a score floor, suppression of duplicates, the best few of each class."""

from dataclasses import dataclass

import numpy as np

from stal.linking.parameters import require_count, require_fraction, require_non_negative
from stal.ops.boxes import best_first, nms
from stal.structures import Detections


@dataclass(frozen=True)
class Candidates:
    """Keep the boxes that are worth linking.

    The defaults are those of Singh et al. (ICCV 2017, `incremental_linking`).

    Attributes:
        min_score: boxes that score less are dropped; at least 0, as scores are taken for probabilities. Singh et al.:
            0.001.
        nms_iou: overlap from which on boxes of one class on one frame count as the same, in [0, 1]. Singh et al.: 0.45;
            Kalogeiton et al. (ICCV 2017) and Gkioxari & Malik (CVPR 2015): 0.3.
        top_k: number of boxes of a class that are kept on a frame. Singh et al. and Kalogeiton et al.: 10.
    """

    min_score: float = 0.001
    nms_iou: float = 0.45
    top_k: int = 10

    def __post_init__(self) -> None:
        require_non_negative("min_score", self.min_score)
        require_fraction("nms_iou", self.nms_iou)
        require_count("top_k", self.top_k, minimum=1)

    def __call__(self, detections: Detections) -> Detections:
        """Return the candidates, sorted by class, then frame, then best first (`stal.ops.boxes.best_first`)."""
        detections = detections[detections.scores >= self.min_score]
        groups = detections.labels * (detections.frames.max(initial=0) + 1) + detections.frames
        kept = nms(detections.boxes, detections.scores, groups, self.nms_iou)
        kept = kept[best_first(detections.boxes[kept], detections.scores[kept])]
        kept = kept[np.argsort(groups[kept], kind="stable")]
        place_in_group = np.arange(len(kept)) - np.searchsorted(groups[kept], groups[kept])
        return detections[kept[place_in_group < self.top_k]]
