"""Detectors of which every attribution is known: linear and quadratic in the clip; and a small real one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector

NUM_CLASSES = 2


class KnownDetector(TubeDetector):
    """Its logit is the sum of weights x clip ** power, with weights of each class for what each pathway is given."""

    def __init__(self, size: tuple[int, ...], power: int) -> None:
        nn.Module.__init__(self)
        generator = torch.Generator().manual_seed(0)
        self.slow, self.fast = (nn.Parameter(torch.randn(NUM_CLASSES, *size, generator=generator)) for _ in range(2))
        self.power = power
        self.dropout = nn.Dropout(0.5)
        self.most_clips = 0

    def weights(self, pathway: str, label: int) -> Tensor:
        parts = {"slow": self.slow, "fast": self.fast, "both": self.slow + self.fast}
        return parts[pathway][label].detach()

    def class_logits(
        self,
        clips: Tensor,
        tubelets: Tensor,
        clip_index: Tensor,
        dropout: Tensor | None = None,
        slow_clips: Tensor | None = None,
    ) -> Tensor:
        self.most_clips = max(self.most_clips, len(clips))
        slow_clips = clips if slow_clips is None else slow_clips
        parts = ((clips, self.fast), (slow_clips, self.slow))
        return sum(
            (self.dropout(seen[clip_index].flatten(1)) ** self.power) @ weights.flatten(1).T for seen, weights in parts
        )


@pytest.fixture
def known_detector() -> Callable[..., KnownDetector]:
    """Return a function of the clip's size and the power."""
    return lambda size=(3, 4, 5, 6), power=1: KnownDetector(size, power)


@pytest.fixture(scope="session")
def small_detector() -> TubeDetector:
    """Return a small SlowFast detector; tests leave it as it is."""
    torch.manual_seed(0)
    backbone = SlowFast(
        depth=18,
        width=8,
        channel_ratio=4,
        norm="group",
        fusion_kernel=3,
        spatial_strides=(1, 2, 1, 1),
        stem_kernels=((1, 3, 3), (3, 3, 3)),
    )
    detector = TubeDetector(backbone, num_classes=NUM_CLASSES, classifier={"bins": 3})
    with torch.no_grad():  # logits that are not nearly constant
        detector.classifier.logits.weight.normal_()
    return detector.eval()
