"""Every backbone that is offered, small."""

from collections.abc import Callable

import pytest
import torch

from stal.models.backbone import Backbone, MViT, SlowFast, SlowOnly, Swin3d

SIZE = (8, 36, 48)  # frames, height, width: the last stage of a transformer has 2 x 2 features, of which one is cut off


def build(name: str, **changes: object) -> Backbone:
    torch.manual_seed(0)
    if name == "SlowFast":
        small = {"depth": 18, "width": 8, "channel_ratio": 4, "fusion_kernel": 3, "norm": "group"}
        return SlowFast(**{**small, "stem_kernels": ((1, 3, 3), (3, 3, 3)), **changes})
    if name == "SlowOnly":
        return SlowOnly(**{"width": 4, "stem_kernel": (1, 3, 3), "norm": "group", **changes})
    if name == "MViT":
        return MViT(**{"width": 4, "depths": (1, 2, 2, 1), **changes})
    return Swin3d(**{"width": 4, "depths": (2, 2, 1, 1), "num_heads": (1, 1, 2, 2), "window": (2, 2, 2), **changes})


@pytest.fixture(params=["SlowFast", "SlowOnly", "MViT", "Swin3d"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def build_backbone() -> Callable[..., Backbone]:
    """Return a function of the name and the arguments to change."""
    return build


@pytest.fixture
def make_backbone(name: str) -> Callable[..., Backbone]:
    """Return a function of the arguments to change."""
    return lambda **changes: build(name, **changes)


@pytest.fixture
def clips() -> torch.Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
