"""The score of one class of one tubelet as a function of clips: what every method of attribution is given."""

import contextlib
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stal.errors import ConfigError, ShapeError
from stal.models.detector import TubeDetector

Pathway = Literal["both", "slow", "fast"]


class RoiScore(nn.Module):
    """The class logit of one tubelet, of every clip of a batch.

    Both pathways of a detector see the same clip. With `pathway` `slow` or `fast`, only what goes into that one is a
    function of the clips given; the other sees the same values as constants. The gradient of `both` is thus the sum of
    those of `slow` and `fast`. What a pathway is given reaches the other one's features too, as the fast pathway feeds
    the slow one: what is told apart is the way in.

    Args:
        detector: the network.
        tubelet: xyxy pixels of the clip, on each of its frames.
        label: the class.
        pathway: the way in; `both` where the backbone has one pathway, which refuses the others when it is called.
        held: the clip that the other pathway sees, whatever it is given itself; None for the same values. Methods that
            change the clip and look at the score need it, those that differentiate do not.

    Raises:
        ConfigError: there is no such pathway.
    """

    tubelet: Tensor

    def __init__(
        self,
        detector: TubeDetector,
        tubelet: Float[Tensor, "T 4"],
        label: int,
        pathway: Pathway = "both",
        *,
        held: Float[Tensor, "C T H W"] | None = None,
    ) -> None:
        super().__init__()
        if pathway not in get_args(Pathway):
            raise ConfigError(f"pathway {pathway!r} is none of {', '.join(get_args(Pathway))}")
        self.detector = detector
        self.label = label
        self.pathway = pathway
        device = device_of(detector)
        self.register_buffer("tubelet", tubelet.detach().float().to(device), persistent=False)
        self.held = None if held is None else held.detach().float().to(device)

    def forward(self, clips: Float[Tensor, "B C T H W"]) -> Float[Tensor, " B"]:
        """Return the logit of each normalised clip."""
        num_clips, _, num_frames = clips.shape[:3]
        if num_frames != len(self.tubelet):
            raise ShapeError(f"a tubelet of {len(self.tubelet)} frames cannot be scored in clips of {num_frames}")
        tubelets = self.tubelet.expand(num_clips, -1, -1)
        index = torch.arange(num_clips, device=clips.device)
        if self.pathway == "both":
            return self.detector.class_logits(clips, tubelets, index)[:, self.label]
        constant = clips.detach() if self.held is None else self.held.expand_as(clips)
        slow, fast = (clips, constant) if self.pathway == "slow" else (constant, clips)
        return self.detector.class_logits(fast, tubelets, index, slow_clips=slow)[:, self.label]


def class_score(
    detector: TubeDetector, clip: Float[Tensor, "C T H W"], tubelet: Float[Tensor, "T 4"], label: int
) -> float:
    """Return the score of one class of one tubelet of a normalised clip, in [0, 1]."""
    score = RoiScore(detector, tubelet, label)
    with torch.no_grad(), attributing(score):
        return float(score(clip[None].float().to(device_of(detector))).sigmoid())


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a network's weights."""
    return next(module.parameters()).device


@contextlib.contextmanager
def attributing(module: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode and mixed precision off, and bring the modes of all its parts back after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.autocast(device_of(module).type, enabled=False):
            yield
    finally:
        for part, training in modes:
            part.training = training
