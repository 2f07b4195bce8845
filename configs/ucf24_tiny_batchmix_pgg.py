"""UCF101-24 at 96 x 128 pixels with the small network of the scenes, BatchMix and the gradient penalty: for a CPU.

python tools/train.py configs/ucf24_tiny_batchmix_pgg.py
Result: not yet measured on the whole data set.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes import *
    from ._base_.ucf24 import data

_size = (96, 128)
for _loader, _step in ((train_dataloader, None), (test_dataloader, 16)):
    _loader["dataset"].update(stride=2)
    _loader["dataset"]["transform"].update(size=_size)
train_dataloader["dataset"].update(cache_bytes=0)
test_dataloader["dataset"].update(split="test", step=16)
model["detector"].update(num_classes=24)
model.update(
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5)),
    penalty=dict(type=GradientPenalty, weight=0.05),
)
