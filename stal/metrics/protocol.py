"""What a number means: the choices on which published evaluators of frame- and video-mAP differ, each by its name.

The presets are named after the evaluators whose numbers they give. Their deviations, bugs among them, are fields here
and nowhere else; `docs/protocols.md` compares them.
"""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args, get_origin, get_type_hints

from stal.errors import ConfigError

Area = Literal["envelope", "trapezoid", "envelope_trapezoid", "eleven_points"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How detections are matched with the ground truth and counted; the same for boxes and for tubes.

    Attributes:
        pixels: `continuous`: a box is x2 - x1 wide. `inclusive`: x2 is its last pixel, and it is x2 - x1 + 1 wide.
        frame_size: (height, width) that boxes are scaled to before they are compared, in which the 1 of `inclusive` is
            smaller than a pixel of the video; None for that of the video.
        rounded: coordinates are rounded to whole pixels, halves to the even one.
        matching: `best_of_all`: a detection is compared with the ground truth of its class that it overlaps most, and
            is a false positive if a surer detection has taken that one (PASCAL VOC). `best_of_free`: it is compared
            with the one that it overlaps most of those that are not taken. The first one wins a tie.
        threshold: a match needs an IoU that is `at_least` or `above` the threshold.
        ties: `input_order`: equal scores rank by video, then in the order they were given. Where an evaluator sorts
            unstably, its own order cannot be had, and this stands in for it.
        area: `envelope`: all-point area under the precision envelope (PASCAL VOC 2010). `trapezoid`: area under the
            precision itself, by trapezoids, from the point (recall 0, precision 1). `envelope_trapezoid`: by
            trapezoids under the envelope from (0, 1) to (1, 0), which adds a triangle behind the last recall (YOLO).
            `eleven_points`: mean of the envelope at the recalls 0, 0.1, ..., 1 (PASCAL VOC 2007).
        absent_classes: classes without ground truth are `left_out` of the mean, or count as `zero`.
        extra_truth: is added to the number of ground-truth items in the denominator of the recall.
    """

    pixels: Literal["continuous", "inclusive"] = "continuous"
    frame_size: tuple[int, int] | None = None
    rounded: bool = False
    matching: Literal["best_of_all", "best_of_free"] = "best_of_all"
    threshold: Literal["at_least", "above"] = "at_least"
    ties: Literal["input_order"] = "input_order"
    area: Area = "envelope"
    absent_classes: Literal["left_out", "zero"] = "left_out"
    extra_truth: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value, choices = getattr(self, name), get_args(kind)
            if get_origin(kind) is Literal and value not in choices:
                raise ConfigError(f"{name}={value!r} is no rule; choose one of {', '.join(map(repr, choices))}")
            if isinstance(value, int | float) and kind is not bool:
                object.__setattr__(self, name, float(value))  # 10 and 10.0 are one rule, with one hash
                if not (0 <= value <= (1 if name == "nms_iou" else math.inf) and math.isfinite(value)):
                    raise ConfigError(f"{name}={value} is no rule; an IoU is in 0 to 1, other numbers are at least 0")
        if self.frame_size is not None and min(self.frame_size) <= 0:
            raise ConfigError(f"frame_size={self.frame_size} is no rule; height and width are positive")


@dataclass(frozen=True, kw_only=True)
class FrameRules(Rules):
    """The rules of frame-mAP.

    Attributes:
        detections_on: detections count on `all` frames, or on `annotated` ones only, which have ground truth of any
            class.
        truth_on: ground truth counts on `all` frames, or on `detected` ones only, which have a detection.
        min_truth_area: a frame loses its detections if it has ground truth of less than so many square pixels.
    """

    detections_on: Literal["all", "annotated"] = "all"
    truth_on: Literal["all", "detected"] = "all"
    min_truth_area: float = 0.0


@dataclass(frozen=True, kw_only=True)
class VideoRules(Rules):
    """The rules of video-mAP. The overlap of two tubes is temporal IoU x mean spatial IoU over their common frames.

    Attributes:
        temporal_iou: `frame_sets`: common frames / frames of either. `first_to_last`: the same for the spans from the
            first to the last frame, which differs for tubes with gaps. `excluding_last`: for spans without their
            last frame, so that a tube of one frame has no overlap with anything.
        one_frame_overlap: a single common frame `counts` or is `nothing`.
        nms_iou: tubes of a class that overlap a surer one by more than this are removed first; None to keep all.
    """

    temporal_iou: Literal["frame_sets", "first_to_last", "excluding_last"] = "frame_sets"
    one_frame_overlap: Literal["counts", "nothing"] = "counts"
    nms_iou: float | None = None


@dataclass(frozen=True)
class Protocol:
    """All choices behind an mAP; a number without them cannot be compared.

    Attributes:
        name: short name, quoted beside every number.
        source: the evaluator that it gives the numbers of.
        frame: the rules of frame-mAP.
        video: the rules of video-mAP; None if the evaluator has none.
    """

    name: str
    source: str
    frame: FrameRules
    video: VideoRules | None

    @cached_property
    def hash(self) -> str:
        """Eight hexadecimal digits that change with any rule, whatever the name."""
        rules = {kind: value for kind, value in dataclasses.asdict(self).items() if kind in ("frame", "video")}
        return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:8]

    def describe(self) -> dict[str, Any]:
        """Return name, hash and every rule, as they are written beside the numbers."""
        return {"name": self.name, "hash": self.hash, **dataclasses.asdict(self)}


VOC = Protocol(
    name="voc",
    source="PASCAL VOC 2010's rules, on all frames",
    frame=FrameRules(),
    video=VideoRules(),
)
ACT = Protocol(
    name="act",
    source="vkalogeiton/caffe act-detector; MCG-NJU/MOC-Detector",
    frame=FrameRules(pixels="inclusive", matching="best_of_free", area="trapezoid"),
    video=VideoRules(
        pixels="inclusive",
        matching="best_of_free",
        area="trapezoid",
        temporal_iou="first_to_last",
        nms_iou=0.3,
    ),
)
MULTISPORTS = Protocol(
    name="multisports",
    source="MCG-NJU/MultiSports; open-mmlab/mmaction2; joslefaure/HIT",
    frame=FrameRules(),
    video=VideoRules(temporal_iou="excluding_last"),
)
RETINA3D = Protocol(
    name="retina3d",
    source="gurkirt/3D-RetinaNet",
    frame=FrameRules(frame_size=(512, 682), matching="best_of_free", area="trapezoid", absent_classes="zero"),
    video=VideoRules(
        pixels="inclusive",
        frame_size=(512, 682),
        matching="best_of_free",
        area="trapezoid",
        temporal_iou="first_to_last",
        absent_classes="zero",
    ),
)
YOWO = Protocol(
    name="yowo",
    source="wei-tim/YOWO; yjh0410/YOWOv2",
    frame=FrameRules(pixels="inclusive", rounded=True, detections_on="annotated"),
    video=VideoRules(
        pixels="inclusive",
        matching="best_of_free",
        temporal_iou="first_to_last",
        one_frame_overlap="nothing",
        absent_classes="zero",
        extra_truth=1e-5,
    ),
)
YOWOV3 = Protocol(
    name="yowov3",
    source="Hope1337/YOWOv3",
    frame=FrameRules(area="envelope_trapezoid", detections_on="annotated", truth_on="detected"),
    video=None,
)
SINGH = Protocol(
    name="singh",
    source="gurkirt/realtime-action-detection: Python for frames, MATLAB for tubes",
    frame=FrameRules(matching="best_of_free", absent_classes="zero"),
    video=VideoRules(
        pixels="inclusive",
        matching="best_of_free",
        threshold="above",
        temporal_iou="first_to_last",
        one_frame_overlap="nothing",
        absent_classes="zero",
    ),
)
TUBER = Protocol(
    name="tuber",
    source="amazon-science/tubelet-transformer",
    frame=FrameRules(min_truth_area=10.0),
    video=None,
)

PROTOCOLS = {p.name: p for p in (VOC, ACT, MULTISPORTS, RETINA3D, YOWO, YOWOV3, SINGH, TUBER)}


def find_protocol(name: object) -> Protocol:
    """Return the preset of that name; raise a ConfigError with the names that there are."""
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise ConfigError(f"protocol {name!r} is not known; known are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
