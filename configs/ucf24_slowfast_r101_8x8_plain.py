"""UCF101-24, SlowFast R101 8x8, no mixing, no penalty: the baseline.

python tools/train.py configs/ucf24_slowfast_r101_8x8_plain.py
Weights: weights/slowfast_r101_8x8.pth, which tools/convert_weights.py makes of published ones (docs/weights.md).
Recipe: PySlowFast's for AVA; `_base_/finetune.py` says what is taken from where, and what is not.
Result: not yet measured.
"""

from mmengine.config import read_base

with read_base():
    from ._base_.runtime import *
    from ._base_.slowfast_r101_8x8 import *
    from ._base_.ucf24 import *

model.update(detector=dict(num_classes=24))
