"""UCF101-24, clip labels only, SlowFast R50 8x8, BatchMix and the gradient penalty: the paper's setting.

python tools/train.py configs/ucf24_weak_batchmix_pgg.py
Weights: weights/slowfast_r50_8x8.pth, which tools/convert_weights.py makes of published ones (docs/weights.md).
Persons: the annotated boxes without their labels, by which the detector learns to propose its own.
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix
from stal.mixing.mask_sources import SourceClipMasks

with read_base():
    from ._base_.runtime import *
    from ._base_.slowfast_r50_8x8 import *
    from ._base_.ucf24 import *

model.update(
    detector=dict(num_classes=24, train_pool="clip"),
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="box", max_pasted=100)),
    penalty_masks=dict(type=SourceClipMasks),
    penalty=dict(type=GradientPenalty, weight=1e-4),
)
