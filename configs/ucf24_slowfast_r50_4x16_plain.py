"""UCF101-24, SlowFast R50 4x16, no mixing, no penalty: the baseline.

python tools/train.py configs/ucf24_slowfast_r50_4x16_plain.py
Weights: weights/slowfast_r50_4x16.pth, which tools/convert_weights.py makes of published ones (docs/weights.md).
Recipe: PySlowFast's for AVA; `_base_/finetune.py` says what is taken from where, and what is not.
Result: not yet measured.
"""

from mmengine.config import read_base

with read_base():
    from ._base_.runtime import *
    from ._base_.slowfast_r50_4x16 import *
    from ._base_.ucf24 import *

model.update(detector=dict(num_classes=24))
