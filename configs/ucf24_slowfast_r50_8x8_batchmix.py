"""UCF101-24, SlowFast R50 8x8, BatchMix.

python tools/train.py configs/ucf24_slowfast_r50_8x8_batchmix.py
Weights: weights/slowfast_r50_8x8.pth, which tools/convert_weights.py makes of published ones (docs/weights.md).
Recipe: PySlowFast's for AVA; `_base_/finetune.py` says what is taken from where, and what is not.
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.slowfast_r50_8x8 import *
    from ._base_.ucf24 import *

model.update(
    detector=dict(num_classes=24),
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="box")),
)
