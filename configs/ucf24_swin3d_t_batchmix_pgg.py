"""UCF101-24, Video Swin-T, BatchMix and the gradient penalty.

python tools/train.py configs/ucf24_swin3d_t_batchmix_pgg.py
Weights: weights/swin3d_t.pth, which tools/convert_weights.py makes of published ones (docs/weights.md).
Recipe: this project's own, `_base_/finetune_transformer.py`.
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.swin3d_t import *
    from ._base_.ucf24 import *

model.update(
    detector=dict(num_classes=24),
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="box")),
    penalty=dict(type=GradientPenalty, weight=1e-4),
)
