"""What the numbers of this package mean: the choices on which published evaluators of frame- and video-mAP differ."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Protocol:
    """The choices behind an mAP; a number without them cannot be compared.

    Attributes:
        name: short name, quoted beside every number.
        boxes: `continuous`: a box is x2 - x1 wide, without the + 1 of inclusive pixels.
        matching: `best_of_all`: a detection is compared with the ground truth of its class that it overlaps most, the
            first one in case of a tie, and is a false positive if a surer detection has taken that one (PASCAL VOC).
        threshold: `at_least`: a match needs IoU >= threshold.
        ties: `input_order`: equal scores rank by video, then in the order they were given.
        area: `envelope`: all-point area under the precision envelope (PASCAL VOC 2010 and later).
        frames: `all`: detections on frames without ground truth are false positives.
        tube_iou: `frame_sets`: sum of the spatial IoU over the common frames / number of frames in either tube.
        absent_classes: `left_out`: classes without ground truth have no AP and do not enter the mean.
    """

    name: str
    boxes: Literal["continuous"]
    matching: Literal["best_of_all"]
    threshold: Literal["at_least"]
    ties: Literal["input_order"]
    area: Literal["envelope"]
    frames: Literal["all"]
    tube_iou: Literal["frame_sets"]
    absent_classes: Literal["left_out"]


VOC = Protocol(
    name="voc",
    boxes="continuous",
    matching="best_of_all",
    threshold="at_least",
    ties="input_order",
    area="envelope",
    frames="all",
    tube_iou="frame_sets",
    absent_classes="left_out",
)
