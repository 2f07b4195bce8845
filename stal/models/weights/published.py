"""Where the weights are published. Nothing is downloaded."""

from pathlib import Path
from typing import NamedTuple

_FACEBOOK = "https://dl.fbaipublicfiles.com"
_PYTORCH = "https://download.pytorch.org/models"
_OPENMMLAB = "https://download.openmmlab.com/mmaction/v1.0"


class Published(NamedTuple):
    """A file that its owner publishes.

    Attributes:
        network: which, as the configs name it.
        trained_on: the data set.
        url: the file.
    """

    network: str
    trained_on: str
    url: str


PUBLISHED = tuple(
    Published(network, trained_on, f"{owner}/{file}")
    for owner, network, trained_on, file in (
        (_FACEBOOK, "slowfast_r50_8x8", "Kinetics-400", "pytorchvideo/model_zoo/kinetics/SLOWFAST_8x8_R50.pyth"),
        (_FACEBOOK, "slowfast_r50_8x8", "Kinetics-400", "pyslowfast/model_zoo/kinetics400/SLOWFAST_8x8_R50.pkl"),
        (
            _OPENMMLAB,
            "slowfast_r50_8x8",
            "Kinetics-400",
            "recognition/slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb/"
            "slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb_20220818-1cb6dfc8.pth",
        ),
        (_FACEBOOK, "slowfast_r50_8x8", "AVA 2.2", "pytorchvideo/model_zoo/ava/SLOWFAST_8x8_R50_DETECTION.pyth"),
        (
            _OPENMMLAB,
            "slowfast_r50_8x8",
            "AVA 2.1",
            "detection/slowfast/slowfast_kinetics400-pretrained-r50_8xb8-8x8x1-20e_ava21-rgb/"
            "slowfast_kinetics400-pretrained-r50_8xb8-8x8x1-20e_ava21-rgb_20220906-39133ec7.pth",
        ),
        (_FACEBOOK, "slowfast_r50_4x16", "Kinetics-400", "pytorchvideo/model_zoo/kinetics/SLOWFAST_4x16_R50.pyth"),
        (_FACEBOOK, "slowfast_r50_4x16", "Kinetics-400", "pyslowfast/model_zoo/kinetics400/SLOWFAST_4x16_R50.pkl"),
        (
            _OPENMMLAB,
            "slowfast_r50_4x16",
            "Kinetics-400",
            "recognition/slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb/"
            "slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb_20220901-701b0f6f.pth",
        ),
        (
            _OPENMMLAB,
            "slowfast_r50_4x16",
            "AVA 2.1",
            "detection/slowfast/slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb/"
            "slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb_20220906-5180ea3c.pth",
        ),
        (_FACEBOOK, "slowfast_r101_8x8", "Kinetics-400", "pytorchvideo/model_zoo/kinetics/SLOWFAST_8x8_R101.pyth"),
        (
            _OPENMMLAB,
            "slowfast_r101_8x8",
            "Kinetics-400",
            "recognition/slowfast/slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb/"
            "slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb_20220818-9c0e09bd.pth",
        ),
        (_FACEBOOK, "slow_r50_8x8", "Kinetics-400", "pytorchvideo/model_zoo/kinetics/SLOW_8x8_R50.pyth"),
        (_FACEBOOK, "slow_r50_8x8", "Kinetics-400", "pyslowfast/model_zoo/kinetics400/SLOWONLY_8x8_R50.pkl"),
        (
            _OPENMMLAB,
            "slow_r50_8x8",
            "Kinetics-400",
            "recognition/slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb/"
            "slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb_20220901-2132fc87.pth",
        ),
        (_FACEBOOK, "slow_r50_4x16", "Kinetics-400", "pytorchvideo/model_zoo/kinetics/SLOW_4x16_R50.pyth"),
        (_FACEBOOK, "slow_r50_4x16", "Kinetics-400", "pyslowfast/model_zoo/kinetics400/SLOWONLY_4x16_R50.pkl"),
        (_FACEBOOK, "slow_r50_4x16", "AVA 2.2", "pytorchvideo/model_zoo/ava/SLOW_4x16_R50_DETECTION.pyth"),
        (_PYTORCH, "mvit_v2_s", "Kinetics-400", "mvit_v2_s-ae3be167.pth"),
        (_PYTORCH, "swin3d_t", "Kinetics-400", "swin3d_t-7615ae03.pth"),
    )
)


def say_where_to_get(path: Path) -> str:
    """Return what to do to have converted weights at `path`, of the network that it is named after, or else of all."""
    own = [published for published in PUBLISHED if path.stem.startswith(published.network)] or PUBLISHED
    lines = "".join(f"\n  {published.network}, {published.trained_on}: {published.url}" for published in own)
    return (
        f"its owners publish it, and nothing is downloaded here:{lines}\n"
        f"Get one of them, and convert it by\n  python tools/convert_weights.py FILE --out {path}\n"
        "docs/weights.md says what they mean, and which settings those of mmaction2 need"
    )
