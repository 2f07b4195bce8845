"""How other projects name the weights of SlowFast, as rules that give a name its place."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from stal.errors import CheckpointError
from stal.models.backbone.resnet import SlowSampling
from stal.models.weights.layer import Part, Place

_VALUE = r"(?P<value>weight|bias|running_mean|running_var|num_batches_tracked)"
_BLOB = r"(?P<value>w|s|b|rm|riv)"
_VALUES = {"w": "weight", "s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
_FAST = {"1", "fast", "t_"}
_PARTS = {None: "shortcut", "1": "a", "2": "b", "3": "c"}
_NAMED_KEYS = 3  # how many names an error shows


@dataclass(frozen=True)
class Naming:
    """The names of one project, and what its networks mean by them.

    The patterns have the groups `stage`, `pathway`, `block`, `part`, `norm` and `value`, where a name tells them.

    Attributes:
        project: its name.
        stem, fusion, block: patterns of the backbone's weights.
        head: pattern of the last linear layer, which gives the class scores.
        outside: pattern of the names that are no part of the backbone.
        detector: pattern of names that detectors alone have; None if they have the names of classifiers.
        first_stage: its number for the stem.
        mean, std: of each channel, red first, on the scale 0 to 255: how its clips are normalised.
        slow_sampling: which frames its slow pathway sees.
        dilates_for_detection: its detectors dilate the last stage where it would stride.
        slow_first: its classification heads take the slow pathway's features before the fast one's, as all detection
            heads do.
        has_background: its detection heads have an output for the background, before those of the classes.
    """

    project: str
    stem: str
    fusion: str
    block: str
    head: str
    outside: str
    detector: str | None = None
    first_stage: int = 0
    mean: tuple[float, float, float] = (114.75, 114.75, 114.75)
    std: tuple[float, float, float] = (57.375, 57.375, 57.375)
    slow_sampling: SlowSampling = "spread"
    dilates_for_detection: bool = True
    slow_first: bool = True
    has_background: bool = False

    def place(self, name: str) -> Place | None:
        """Return where in the backbone the weight of this name stands; None if it is not one of the backbone."""
        for pattern, fixed in ((self.stem, "stem"), (self.fusion, "fusion"), (self.block, None)):
            match = re.fullmatch(pattern, name)
            if match:
                found = {"stage": self.first_stage, "pathway": "", "block": 0, "part": None, "norm": None}
                found |= {key: text for key, text in match.groupdict().items() if text is not None}
                value = str(found["value"])
                return Place(
                    stage=int(cast(str, found["stage"])) - self.first_stage,
                    part=cast(Part, fixed or _PARTS.get(cast(str, found["part"]), found["part"])),
                    is_norm=found["norm"] is not None,
                    value=_VALUES.get(value, value),
                    pathway=int(found["pathway"] in _FAST),
                    block=int(cast(str, found["block"])),
                )
        return None

    def head_value(self, name: str) -> str | None:
        """Return `weight` or `bias` if the name is of the head's last layer, or None."""
        match = re.fullmatch(self.head, name)
        return match and _VALUES.get(match["value"], match["value"])

    def is_outside(self, name: str) -> bool:
        """Say whether the name is known to be of something else than the backbone."""
        return re.fullmatch(self.outside, name) is not None


PYTORCHVIDEO = Naming(
    project="pytorchvideo",
    stem=rf"(?:model\.)*blocks\.0\.(?:multipathway_blocks\.(?P<pathway>[01])\.)?(?:conv|(?P<norm>norm))\.{_VALUE}",
    fusion=rf"(?:model\.)*blocks\.(?P<stage>[0-3])\.multipathway_fusion\.(?:conv_fast_to_slow|(?P<norm>norm))\.{_VALUE}",
    block=r"(?:model\.)*blocks\.(?P<stage>[1-4])\.(?:multipathway_blocks\.(?P<pathway>[01])\.)?"
    rf"res_blocks\.(?P<block>\d+)\.(?:branch1_|branch2\.)(?:conv|(?P<norm>norm))(?:_(?P<part>[abc]))?\.{_VALUE}",
    head=rf"(?:(?:model\.)*blocks\.[56]|detection_head)\.proj\.{_VALUE}",
    detector=r"detection_head\..*",
    outside=r"detection_head\..*|(?:model\.)*blocks\.[56]\..*",
)

PYSLOWFAST = Naming(
    project="PySlowFast",
    stem=rf"s1\.pathway(?P<pathway>[01])_stem\.(?:conv|(?P<norm>bn))\.{_VALUE}",
    fusion=rf"s(?P<stage>[1-4])_fuse\.(?:conv_f2s|(?P<norm>bn))\.{_VALUE}",
    block=r"s(?P<stage>[2-5])\.pathway(?P<pathway>[01])_res(?P<block>\d+)\."
    rf"branch(?:1|2\.(?P<part>[abc]))(?P<norm>_bn)?\.{_VALUE}",
    head=rf"head\.projection\.{_VALUE}",
    outside=r"head\..*",
    first_stage=1,
)

CAFFE2 = Naming(
    project="PySlowFast (caffe2)",
    stem=rf"(?P<pathway>t_)?(?:conv1|res_conv1(?P<norm>_bn))_{_BLOB}",
    fusion=rf"t_(?:pool1|res(?P<stage>[2-4])_\d+_branch2c_bn)_subsample(?P<norm>_bn)?_{_BLOB}",
    block=rf"(?P<pathway>t_)?res(?P<stage>[2-5])_(?P<block>\d+)_branch(?:1|2(?P<part>[abc]))(?P<norm>_bn)?_{_BLOB}",
    head=rf"pred_{_BLOB}",
    outside=r".*_momentum|lr|model_iter|pred_.*",
    first_stage=1,
)

MMACTION2 = Naming(
    project="mmaction2",
    stem=rf"backbone\.(?:(?P<pathway>slow|fast)_path\.)?conv1\.(?:conv|(?P<norm>bn))\.{_VALUE}",
    fusion=rf"backbone\.slow_path\.(?:conv1|layer(?P<stage>[1-3]))_lateral\.(?:conv|(?P<norm>bn))\.{_VALUE}",
    block=r"backbone\.(?:(?P<pathway>slow|fast)_path\.)?layer(?P<stage>[1-4])\.(?P<block>\d+)\."
    rf"(?:downsample|conv(?P<part>[123]))\.(?:conv|(?P<norm>bn))\.{_VALUE}",
    head=rf"(?:cls_head|roi_head\.bbox_head)\.fc_cls\.{_VALUE}",
    detector=r"roi_head\..*",
    outside=r"(?!backbone\.).*",
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    slow_sampling="strided",
    dilates_for_detection=False,
    slow_first=False,
    has_background=True,
)

NAMINGS = (PYTORCHVIDEO, PYSLOWFAST, CAFFE2, MMACTION2)


def recognise(names: Iterable[str]) -> Naming:
    """Return the naming that the names of a file's weights follow.

    Raises:
        CheckpointError: it is none of those that are known.
    """
    names = list(names)
    for naming in NAMINGS:
        if any(re.fullmatch(naming.stem, name) for name in names):
            return naming
    known = ", ".join(naming.project for naming in NAMINGS)
    raise CheckpointError(
        f"its weights ({', '.join(names[:_NAMED_KEYS]) or 'none'}, ...) are not named as those of a SlowFast or slow "
        f"network of {known}; no others are converted"
    )
