"""UCF101-24 at 96 x 128 pixels with the small network of the scenes, BatchMix and the gradient penalty: for a CPU.

python tools/train.py configs/ucf24_tiny_batchmix_pgg.py
Result: not yet measured on the whole data set. As a check that all works on real videos: 85 training and 33 test
videos of three classes, with train_cfg.max_epochs=6 train_dataloader.dataset.clips_per_video=4, in 5 minutes on two
CPU cores: frame-mAP@0.5 10.7, video-mAP@0.2 / 0.5 24.6 / 4.0.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes import *
    from ._base_.ucf24 import data  # noqa: F401

_size = (96, 128)
train_dataloader["dataset"].update(stride=2, cache_bytes=0, transform=dict(size=_size))
test_dataloader["dataset"].update(split="test", stride=2, step=16, transform=dict(size=_size))
model.update(
    detector=dict(num_classes=24),
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5)),
    penalty=dict(type=GradientPenalty, weight=1e-4, interval=8),
)
