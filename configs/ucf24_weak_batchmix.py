"""UCF101-24, clip labels only, SlowFast R50 8x8, BatchMix of actors and label sets.

python tools/train.py configs/ucf24_weak_batchmix.py
Weights: weights/slowfast_r50_8x8.pth, which tools/convert_weights.py makes of published ones (docs/weights.md).
Persons: the annotated boxes without their labels, by which the detector learns to propose its own.
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.slowfast_r50_8x8 import *
    from ._base_.ucf24 import *

model.update(
    detector=dict(num_classes=24, train_pool="clip"),
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="box", max_pasted=100)),
)
