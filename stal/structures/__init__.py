"""The few structures that every part of stal hands to the next.

All are frozen dataclasses that validate themselves on construction and whose repr shows shapes instead of values.
Conventions: frames are 0-based; boxes are xyxy in continuous pixels, half-open (a box that covers pixels 3, 4 and 5
of a row has x1 = 3 and x2 = 6); classes are 0-based, without a background slot.
"""

from stal.structures.annotations import MAX_MASKED_ID, Annotations, Tube, Video
from stal.structures.clips import Clip, ClipBatch
from stal.structures.describe import describe
from stal.structures.detections import Detections
from stal.structures.keypoints import JOINTS, Keypoints

__all__ = [
    "JOINTS",
    "MAX_MASKED_ID",
    "Annotations",
    "Clip",
    "ClipBatch",
    "Detections",
    "Keypoints",
    "Tube",
    "Video",
    "describe",
]
