"""UCF101-24, slow-only R50 8x8, BatchMix and the gradient penalty.

python tools/train.py configs/ucf24_slow_r50_8x8_batchmix_pgg.py
Weights: weights/slow_r50_8x8.pth, which tools/convert_weights.py makes of published ones (docs/weights.md).
Recipe: PySlowFast's for AVA; `_base_/finetune.py` says what is taken from where, and what is not.
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.slow_r50_8x8 import *
    from ._base_.ucf24 import *

model.update(
    detector=dict(num_classes=24),
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="box")),
    penalty=dict(type=GradientPenalty, weight=1e-4),
)
